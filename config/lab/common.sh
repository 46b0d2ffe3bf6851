# shellcheck shell=bash
# What config/lab/up, down and status share: where the lab is, what runs in it, and how it is taken down.
#
# A lab is a folder:
#   lab.conf               its settings: written first, so that `down` knows a lab that was never finished
#   env                    for the user's shell: `. DIR/env`
#   bin/                   the bgproxyctl that the hooks ask
#   sample_app/            the application's repository, with the remotes blue and green
#   blue/, green/          the two servers: the bare repository sample_app and the web root www of each
#   bgproxy.json5, conf/   what the programs are configured with
#   ssh/                   the key that pushes, the host key, and the client's config
#   run/, log/             process ids, the admin socket and the state of bgproxy; what the programs say

# With GIT_DIR or the like of the user's shell, or of a hook, git would work in the user's own repository.
# shellcheck disable=SC2046 # each word is a name
! type -P git >/dev/null || unset $(git rev-parse --local-env-vars)

# Debian has servers and user administration where the PATH of other users does not look.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }

complain() { printf '%s: %s\n' "config/lab/${0##*/}" "$*" >&2; }

die() {
  complain "$@"
  exit 1
}

misused() {
  complain "$*; --help shows the usage"
  exit 2
}

has() { [ -x "$(type -P "$1")" ]; }

# Ends with the names of the programs that are missing, and the Debian packages that have them.
# need PROGRAM:PACKAGE...
need() {
  local pair missing=()
  for pair; do
    has "${pair%%:*}" || missing+=("${pair%%:*} (Debian: ${pair#*:})")
  done
  [ ${#missing[@]} -eq 0 ] || die "missing: $(join ', ' "${missing[@]}")"
}

# join SEPARATOR WORD...
join() {
  local separator=$1 text=$2 word
  for word in "${@:3}"; do text+=$separator$word; done
  printf '%s' "$text"
}

default_folder() {
  if [ "$(id -u)" -eq 0 ]; then
    say /srv/bgproxy-lab
  else
    say "${HOME:?}/bgproxy-lab"
  fi
}

# Makes FOLDER absolute. Its name goes into the configuration of five programs, each with its own way of quoting: it is
# to need none. bgproxy's admin socket in it has to fit into the 107 bytes of a Unix socket's address.
settle_folder() {
  case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
  esac
  folder=${folder%/}
  case $folder in
    *[!A-Za-z0-9._/+-]*) misused "the folder's path may have letters, digits and . _ / + - only: $folder" ;;
    '' | */../* | */..) misused "the folder needs a path of its own" ;;
  esac
  [ ${#folder} -le 80 ] || misused "the folder's path is longer than 80 bytes: $folder"
}

# For the scripts whose only option is where the lab is: sets `folder`; --help prints what their `usage` says.
read_folder() {
  folder=${BGPROXY_LAB_FOLDER:-$(default_folder)}
  while [ $# -gt 0 ]; do
    case $1 in
      --help)
        usage
        exit 0
        ;;
      --folder)
        [ $# -ge 2 ] || misused "--folder needs a value"
        folder=$2
        shift 2
        ;;
      *) misused "unknown option $1" ;;
    esac
  done
  settle_folder
}

# Whether this is a lab whose `up` was killed, or is, before it had written the settings.
is_unsettled() {
  [ -d "$folder" ] && [ -O "$folder" ] && [ ! -s "$folder/lab.conf" ] &&
    [ -z "$(find "$folder" -mindepth 1 ! -path "$folder/lab.conf" -print -quit)" ]
}

# Reads the settings of the lab in `folder`, as `up` has written them; false where there is none.
load_settings() {
  [ -e "$folder/lab.conf" ] || return 1
  # shellcheck disable=SC2034 # by those who read them
  mode='' user='' front='' preview='' blue='' green='' ssh_port='' binaries=''
  # It is run as a script, and what it names is stopped and removed.
  [ -O "$folder/lab.conf" ] || die "the lab at $folder belongs to $(stat -c %U "$folder/lab.conf")"
  # shellcheck source=/dev/null
  . "$folder/lab.conf"
  [ -n "$mode$binaries" ] || die "the settings in $folder/lab.conf are not whole"
}

# The lab's programs, in the order in which they start.
programs() {
  say blue
  say green
  [ "$mode" = plain ] || say sshd
  say bgproxy
}

# The processes that a program of the lab consists of: those of the group that was made for it and whose command names
# the lab's folder. A process id alone may have been given to another program since.
# processes_of PROGRAM
processes_of() {
  local leader file line group pid
  { read -r leader <"$folder/run/$1.pid"; } 2>/dev/null || return 0
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    # The name in parentheses may have spaces; after it: state, parent, process group.
    read -r _ _ group _ <<<"${line##*) }"
    [ "$group" = "$leader" ] || continue
    pid=${file//[!0-9]/}
    if grep -qzF -- "$folder/" "/proc/$pid/cmdline" 2>/dev/null; then say "$pid"; fi
  done
}

runs() { [ -n "$(processes_of "$1")" ]; }

# Ends processes: SIGTERM again and again, because bgproxy drains at the first and ends at the second; after 3 s SIGKILL
# (Apache's children do not heed SIGTERM once Apache itself is dead).
# end LISTING-COMMAND...: it prints what is left to end
end() {
  local signal=TERM turn pids
  for ((turn = 0; turn < 100; turn++)); do
    mapfile -t pids < <("$@")
    [ ${#pids[@]} -gt 0 ] || return 0
    [ "$turn" -lt 30 ] || signal=KILL
    kill -s "$signal" "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
  complain "cannot end process ${pids[*]}"
  return 1
}

# What the lab writes into the user's comment field: a user without it is somebody else's.
user_mark() { say "bgproxy lab $folder"; }

user_is_ours() {
  local comment
  comment=$(getent passwd "$user" | cut -d: -f5) && [ "$comment" = "$(user_mark)" ]
}

# Those that live: one that has ended and was not asked for yet by its parent cannot be ended again.
processes_of_user() {
  local process line
  while read -r process; do
    { read -r line <"$process/stat"; } 2>/dev/null || continue
    [[ ${line##*) } == Z* ]] || say "${process##*/}"
  done < <(find /proc -maxdepth 1 -name '[0-9]*' -user "$user" 2>/dev/null)
}

# Removes all that `up` has made: processes, user, folder. What it lacks is passed over, so it also ends a lab that was
# never finished. (/run/sshd stays: it is every sshd's, and Debian's own makes it too.)
take_down() {
  local program failed=0
  for program in bgproxy sshd green blue; do
    end processes_of "$program" || failed=1
  done
  if [ "$mode" = real ] && user_is_ours; then
    end processes_of_user || failed=1
    # --force: in spite of what is still on the list of processes, but has ended.
    userdel --force "$user" >"$folder/log/userdel.log" 2>&1 || {
      cat "$folder/log/userdel.log" >&2
      failed=1
    }
  fi
  # With processes or the user left, the folder is what tells the next `down` of them.
  [ "$failed" -eq 0 ] || return 1
  rm -rf -- "$folder"
}

# Of the answer at http://ADDRESS/: its first line, or why there is none.
# answer_of ADDRESS
answer_of() {
  local answer
  if answer=$(curl --noproxy '*' -s --max-time 5 -w '\n%{http_code}' "http://$1/" | tr -d '\0'); then
    case ${answer##*$'\n'} in
      200) say "${answer%%$'\n'*}" ;;
      *) say "answers with status ${answer##*$'\n'}" ;;
    esac
  else
    say "does not answer"
  fi
}
