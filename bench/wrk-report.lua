-- Sends the method and the body that stand behind `--` on the command line, and prints what wrk has counted as one line
-- of JSON, the duration in microseconds. The request is made once: no request or response passes here.
init = function(args)
  wrk.method = args[1]
  wrk.body = args[2]
end

done = function(summary)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
