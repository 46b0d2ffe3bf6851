# shellcheck shell=bash
# How config/lab/up starts the lab's programs: it looks whether their addresses are free, starts each in a process group of
# its own, and waits until it serves.

gate=''

# Which program listens where this address would; nothing where it is free.
# holder_of ADDRESS
holder_of() {
  local place users name
  while read -r _ _ _ place _ users; do
    case $place in
      "$1" | "0.0.0.0:${1##*:}" | "*:${1##*:}") ;;
      *) continue ;;
    esac
    name=$(sed -nE 's/.*\(\("([^"]*)",pid=([0-9]+).*/\1 (pid \2)/p' <<<"$users")
    say "${name:-a program of another user}"
    return
  done < <(ss -Hltnp "sport = :${1##*:}")
}

# check_ports PROGRAM...: those that are to be started
check_ports() {
  local program pair holder taken=0 pairs=()
  for program; do
    case $program in
      blue | green) pairs+=("$program=${!program}") ;;
      sshd) pairs+=("ssh to blue=${blue%:*}:$ssh_port" "ssh to green=${green%:*}:$ssh_port") ;;
      bgproxy) pairs+=("front door=$front" "preview=$preview") ;;
    esac
  done
  for pair in "${pairs[@]}"; do
    holder=$(holder_of "${pair#*=}")
    [ -n "$holder" ] || continue
    complain "${pair#*=} (${pair%%=*}) is taken by $holder"
    taken=1
  done
  [ "$taken" -eq 0 ] || die "nothing was started; a new lab may have other ports, as --help shows"
}

# Starts a program that stays in the foreground, in a session and process group of its own. It waits at a gate until its
# id is written down: should this script be killed before that, nothing runs that `down` does not know.
# launch PROGRAM COMMAND...
launch() {
  # shellcheck disable=SC2016 # expanded there
  exec {gate}> >(exec setsid bash -c 'read -r && exec "$@" </dev/null' launch "${@:2}" >>"$folder/log/$1.log" 2>&1)
  say $! >"$folder/run/$1.pid"
  say open >&"$gate"
  shut_gate
}

shut_gate() {
  [ -z "$gate" ] || exec {gate}>&-
  gate=''
}

# Waits until a program answers; ends with what it said where it has ended instead.
# await PROGRAM CONDITION-COMMAND...
await() {
  local turn
  for ((turn = 0; turn < 200; turn++)); do
    # In a shell of its own, because what a signal has this one say would go where the condition's words go.
    if ("${@:2}") >/dev/null 2>&1 && runs "$1"; then return; fi
    kill -0 "$(cat "$folder/run/$1.pid")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$folder/log/$1.log" >&2
  die "$1 does not run"
}

# Whether a program answers there, and no other that was quicker to take the address. (Not everybody may see whose it is.)
# serves PROGRAM ADDRESS
serves() {
  local holders pid
  answers "$2" || return
  holders=$(ss -Hltnp "src $2")
  [[ $holders == *pid=* ]] || return 0
  for pid in $(processes_of "$1"); do
    [[ $holders != *"pid=$pid,"* ]] || return 0
  done
  false
}

answers() { curl --noproxy '*' -s -o /dev/null --max-time 2 "http://$1/"; }

takes_connections() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}"); }

# One after the other: the front door is last, so that its first probes already find the servers.
start_programs() {
  local program address as_www_data
  as_www_data=(setpriv --reuid www-data --regid "$(id -g www-data)" --clear-groups)
  for program; do
    case $program in
      blue | green)
        address=${!program}
        if [ "$mode" = real ]; then
          launch "$program" "${as_www_data[@]}" apache2 -D FOREGROUND -f "$folder/conf/$program.conf"
        else
          launch "$program" "$here/web-server" "${address%:*}" "${address##*:}" "$folder/$program/www"
        fi
        await "$program" serves "$program" "$address"
        ;;
      sshd)
        # By its path, because it runs itself anew for each connection.
        launch sshd "$(command -v sshd)" -D -e -f "$folder/conf/sshd.conf"
        await sshd takes_connections "${blue%:*}:$ssh_port"
        ;;
      bgproxy)
        launch bgproxy "$binaries/bgproxy" --config "$folder/bgproxy.json5"
        await bgproxy "$binaries/bgproxyctl" --socket "$folder/run/admin/admin.sock" --quiet status
        ;;
    esac
  done
}
