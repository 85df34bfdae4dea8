#!/bin/sh
# Makes every password and key of deploy/compose/compose.yaml, each in a file of its own. What is there already is kept.
set -eu

folder=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$folder"
# The folder keeps other users of this machine out; the files are read in containers by users of other numbers.
chmod 700 "$folder"

# Letters and digits only: they stand in addresses.
random() {
  head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 40
}

keep() {
  if [ ! -s "$folder/$1" ]; then
    cat >"$folder/$1"
    echo "made $folder/$1"
  fi
}

random | keep postgres_password
random | keep grafana_password
random | keep rabbitmq_password
random | keep link_key
head -c 32 /dev/urandom | base64 | sed 's/^/first:/' | keep encryption_keys
random | sed 's/^/operator:/' | keep operator_tokens

printf 'default_user = pike\ndefault_pass = %s\n' "$(cat "$folder/rabbitmq_password")" | keep rabbitmq_login
printf 'amqp://pike:%s@rabbitmq:5672/' "$(cat "$folder/rabbitmq_password")" | keep amqp_url
printf 'postgresql://pike:%s@postgres:5432/pike' "$(cat "$folder/postgres_password")" | keep database_url
