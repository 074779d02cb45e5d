/**
 * The first step of every npm script: finds what would make the script fail in a way that is hard to understand, and prints
 * one sentence about it. Then it chooses how a program runs.
 *
 *     node preflight.cjs tools         checks Node and all packages, for scripts that need the development packages
 *     node preflight.cjs main          prints the command that runs the program, built before if it must be
 *     node preflight.cjs cli/migrate   the same for a command, which runs from its sources instead if `dist/` is old
 *
 *     dist/ is current                    the built program: it starts fastest, and needs no development package
 *     dist/ is old or missing, tsx is     main, main-jobs: built first; commands: from their sources
 *     dist/ is old or missing, no tsx     a sentence, since another version of the code would run unnoticed
 *
 * `dist/` is current if it was built from the sources as they are now, compared by a digest of their contents: times of
 * files change with every checkout and copy. Without sources, as in an image, it always is.
 *
 * The file is ECMAScript 5 in CommonJS, which every version of Node can read: an old one must get as far as the sentence.
 */

'use strict';

var childProcess = require('child_process');
var crypto = require('crypto');
var fs = require('fs');
var path = require('path');

var root = __dirname;
var manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
/** The digest of the sources from which `dist/` was built. */
var digestFile = path.join(root, 'dist', 'sources.sha256');
/** Programs that run for long, and are worth a build. */
var longRunning = ['main', 'main-jobs'];

module.exports = {
  digestFile: digestFile,
  digestSources: digestSources,
  findVersionProblem: findVersionProblem
};

if (require.main === module) {
  run(process.argv[2]);
}

function run(target) {
  var problem = findVersionProblem(process.version, manifest.engines.node) || findPackageProblem(target);
  if (problem === undefined && target !== 'tools') {
    problem = chooseCommand(target);
  }
  if (problem !== undefined) {
    report(problem);
    process.exit(1);
  }
}

/** Returns a sentence if the version of Node is lower than the lowest one, such as `>=20.19`; undefined if it is not. */
function findVersionProblem(version, accepted) {
  var wanted = accepted.replace(/[^\d.]/g, '').split('.');
  var actual = version.replace(/^v/, '').split('.');
  for (var i = 0; i < wanted.length; i += 1) {
    if (Number(actual[i]) > Number(wanted[i])) return undefined;
    if (Number(actual[i]) < Number(wanted[i])) {
      return (
        'Node.js ' +
        wanted.join('.') +
        ' or newer is needed, and this is ' +
        version +
        ': install a newer one, see https://nodejs.org.'
      );
    }
  }
  return undefined;
}

function findPackageProblem(target) {
  var missing = findMissing(manifest.dependencies);
  if (missing !== undefined) {
    return 'The package ' + missing + ' is not installed: run `npm ci` first.';
  }
  missing = target === 'tools' ? findMissing(manifest.devDependencies) : undefined;
  if (missing !== undefined) {
    return (
      'The development package ' +
      missing +
      ' is not installed, and this command needs it: run `npm ci --include=dev`.'
    );
  }
  return undefined;
}

/** Returns the first package that is in no folder `node_modules` upwards; undefined if all are. */
function findMissing(packages) {
  return Object.keys(packages).filter(function (name) {
    for (var folder = root; ; folder = path.dirname(folder)) {
      if (fs.existsSync(path.join(folder, 'node_modules', name, 'package.json'))) return false;
      if (path.dirname(folder) === folder) return true;
    }
  })[0];
}

/** Prints the command of a program, or returns a sentence on why there is none. */
function chooseCommand(name) {
  var built = 'dist/' + name + '.js';
  var isCurrent = fs.existsSync(path.join(root, built)) && isDistCurrent();
  if (!isCurrent && findMissing(manifest.devDependencies) !== undefined) {
    return (
      (fs.existsSync(path.join(root, built))
        ? 'dist/ was built from other sources'
        : 'The program is not built') +
      ', and the development packages that build it are not installed: run `npm ci --include=dev` first, or build elsewhere and copy dist/.'
    );
  }
  if (!isCurrent && longRunning.indexOf(name) < 0) {
    process.stdout.write('node --enable-source-maps --import tsx src/' + name + '.ts\n');
    return undefined;
  }
  if (!isCurrent) {
    // Standard output has only the command.
    var build = childProcess.spawnSync('npm', ['run', '--silent', 'build'], {
      cwd: root,
      stdio: ['ignore', 2, 2]
    });
    if (build.status !== 0) process.exit(1);
  }
  process.stdout.write('node --enable-source-maps ' + built + '\n');
  return undefined;
}

function isDistCurrent() {
  if (!fs.existsSync(path.join(root, 'src'))) return true;
  return fs.existsSync(digestFile) && fs.readFileSync(digestFile, 'utf8').trim() === digestSources();
}

/** Returns a digest of the files that a build reads: their names and contents. */
function digestSources() {
  var hash = crypto.createHash('sha256');
  var others = ['build.mjs', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  var files = listFiles('src').concat(others);
  files.forEach(function (file) {
    var found = path.join(root, file);
    hash.update(file + '\n');
    if (fs.existsSync(found)) hash.update(fs.readFileSync(found));
  });
  return hash.digest('hex');
}

function listFiles(folder) {
  var found = [];
  fs.readdirSync(path.join(root, folder))
    .sort()
    .forEach(function (name) {
      var file = folder + '/' + name;
      if (fs.statSync(path.join(root, file)).isDirectory()) found = found.concat(listFiles(file));
      else found.push(file);
    });
  return found;
}

/** Prints the sentence; in staging and production as a line of the log, because a log collector parses all output. */
function report(message) {
  var environment = (process.env.APP_ENVIRONMENT || process.env.ENVIRONMENT || '').toLowerCase();
  if (environment !== 'staging' && environment !== 'production') {
    process.stderr.write(message + '\n');
    return;
  }
  var line = {
    level: 'critical',
    timestamp: new Date().toISOString(),
    environment: environment,
    message: message,
    event: 'application.failed'
  };
  process.stderr.write(JSON.stringify(line) + '\n');
}
