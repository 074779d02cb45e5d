#!/bin/sh
# Makes the secrets of a new installation, one file each, and never replaces one that exists:
#
#   deploy/secrets.sh                     for compose, in deploy/secrets/
#   deploy/secrets.sh FOLDER db redis     elsewhere, for these hosts of PostgreSQL and Redis
#
# The role `strata` of another PostgreSQL needs the password in `database-password`. Replace `smtp-url` with that of your mail
# server, and `tls-certificate` and `tls-key`, which are self-signed, with yours.
set -eu
folder=${1:-$(dirname "$0")/secrets}
database_host=${2:-db}
redis_host=${3:-redis}
# Inside of one machine the network is trusted; anywhere else the certificate of the server is verified.
case $database_host in
  db | localhost | 127.0.0.1) tls=disable ;;
  *) tls=verify-full ;;
esac
umask 077
mkdir -p "$folder"
# The containers run as other users, so they must be able to read the files; the folder keeps everyone else out.
make() { [ -e "$folder/$1" ] || { cat > "$folder/$1" && chmod 644 "$folder/$1"; }; }
random() { openssl rand -hex 32; }

random | make database-password
random | make redis-password
printf 'postgres://strata:%s@%s:5432/strata?sslmode=%s\n' "$(cat "$folder/database-password")" "$database_host" "$tls" | make database-url
printf 'redis://:%s@%s:6379/0\n' "$(cat "$folder/redis-password")" "$redis_host" | make redis-url
printf 'requirepass %s\n' "$(cat "$folder/redis-password")" | make redis-config
random | make jwt-secrets
random | make management-token
printf 'smtp://user:password@mail.example.com:587\n' | make smtp-url
if [ ! -e "$folder/tls-key" ]; then
  openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=api.example.com -addext subjectAltName=DNS:api.example.com \
    -keyout "$folder/tls-key" -out "$folder/tls-certificate" 2> /dev/null
  chmod 644 "$folder/tls-key" "$folder/tls-certificate"
fi
ls "$folder"
