# shellcheck shell=bash
#
# Packages, the unprivileged user, and a private server: what check, demo, bench and the long targets share.
#
# Source it from bash under "set -eu". It starts nothing by itself. PostgreSQL does not run as root, so root runs
# servers as the user postgres ($SERVER_USER); anybody else runs them as themselves and needs sudo only to install
# packages and the extension.
#
#   install_packages PACKAGE...        those that are missing, from Debian
#   build_and_install TREE [VAR=VAL]   make, then make install; quiet but for warnings
#   private_directory TEMPLATE         a new directory owned by the server's user; prints its name
#   as_root COMMAND...                 directly or through sudo
#   as_server COMMAND...               as the server's user, in the current directory
#   server_init DIR                    a new cluster in DIR/data; DIR belongs to the server's user
#   server_start DIR [NAME=VALUE]...   on a free port from $PORT_FROM on, with these settings; the socket is in DIR,
#                                      the log is DIR/log; exports PGHOST, PGPORT and PGUSER, a superuser
#   server_stop DIR                    ends it, if it runs
#   server_sweep DIR                   ends every server whose data directory is somewhere below DIR

PG_CONFIG=${PG_CONFIG:-pg_config}
PORT_FROM=${PORT_FROM:-6543}
if [ "$(id -u)" = 0 ]; then
	SERVER_USER=${SERVER_USER:-postgres}
else
	SERVER_USER=$(id -un)
fi

# What it takes to build the extension and to run a server with it.
# shellcheck disable=SC2034 # for those who source this file
SERVER_PACKAGES="gcc libc6-dev make postgresql-15 postgresql-server-dev-15"

# A script started by make must not hand make's own flags to the make that it starts.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "this needs root or sudo: $*" >&2
		return 1
	fi
}

as_server() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --init-groups \
			env USER="$SERVER_USER" LOGNAME="$SERVER_USER" HOME="$(getent passwd "$SERVER_USER" | cut -d: -f6)" "$@"
	else
		"$@"
	fi
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Debian's server package creates and starts a cluster of its own where there is none yet. Nobody asked for that
# one, so its creation is switched off while packages are installed. Clusters that exist are left alone.
install_packages() {
	local package output drop_in=/etc/postgresql-common/createcluster.d/kpitables.conf status=0
	local -a missing=()
	for package; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing ${missing[*]}"
	as_root mkdir -p "${drop_in%/*}" || return
	echo 'create_main_cluster = false' | as_root tee $drop_in >/dev/null
	output=$(as_root apt-get update -qq 2>&1 </dev/null &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
			"${missing[@]}" 2>&1 </dev/null) || status=$?
	[ $status = 0 ] || echo "$output" | tail -n 20 >&2
	as_root rm -f $drop_in
	return $status
}

build_and_install() {
	local tree=$1
	shift
	make -s -C "$tree" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" "$@"
	as_root make -s -C "$tree" install PG_CONFIG="$PG_CONFIG" "$@"
}

private_directory() {
	local dir
	dir=$(mktemp -d "$1")
	if [ "$(id -u)" = 0 ]; then
		chown "$SERVER_USER": "$dir"
	fi
	echo "$dir"
}

# The command of the PostgreSQL that the extension is built for. pg_ctl and initdb look at the current directory,
# which their user may not enter.
server_command() {
	local command
	command=$("$PG_CONFIG" --bindir)/$1
	shift
	(cd / && as_server "$command" "$@")
}

server_init() {
	local output
	output=$(server_command initdb -D "$1/data" --username=postgres --auth=trust --encoding=UTF8 \
		--locale=C.UTF-8 --no-sync 2>&1) || {
		echo "$output" >&2
		return 1
	}
}

# First port from $1 on that nobody listens on.
free_port() {
	perl -MIO::Socket::INET -e '
		for my $port ($ARGV[0] .. $ARGV[0] + 200) {
			my $socket = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => "127.0.0.1",
				LocalPort => $port) or next;
			print $port;
			exit 0;
		}
		exit 1' "$1"
}

# Somebody may take the port between the look and the start: then the next one is tried.
server_start() {
	local dir=$1 setting port=$PORT_FROM
	shift
	for setting in "listen_addresses=127.0.0.1" "unix_socket_directories=$dir" "$@"; do
		echo "${setting%%=*} = '${setting#*=}'"
	done | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
	while port=$(free_port "$port"); do
		if server_command pg_ctl -D "$dir/data" -l "$dir/log" -o "-p $port" -w -s start 2>/dev/null; then
			export PGHOST=$dir PGPORT=$port PGUSER=postgres
			return
		fi
		as_server grep -qs 'could not bind\|could not create any TCP/IP' "$dir/log" || break
		as_server mv "$dir/log" "$dir/log.port$port"
		port=$((port + 1))
	done
	echo "the server did not start:" >&2
	as_server tail -n 20 "$dir/log" >&2
	return 1
}

server_stop() {
	if as_server test -s "$1/data/postmaster.pid"; then
		server_command pg_ctl -D "$1/data" -m fast -w -s stop 2>/dev/null ||
			server_command pg_ctl -D "$1/data" -m immediate -w -s stop 2>/dev/null || true
	fi
}

server_sweep() {
	local pidfile
	find "$1" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		server_command pg_ctl -D "${pidfile%/*}" -m immediate -w -s stop 2>/dev/null || true
	done
}
