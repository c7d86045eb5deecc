# shellcheck shell=bash
#
# The PostgreSQL that checks itself: what test/assert and test/smith share. Source it after test/lib/server.sh, in the tree's
# root.
#
#   assert_server               finds it, or builds it (some five minutes, once), and sets PG_CONFIG, its source's folder
#                               source and its own, prefix
#   assert_install WORK [LOG]   installs the extension there, built from a copy of the tree in WORK/tree: the objects of that
#                               build must not meet those of the tree

# Built with assertions and valgrind's hooks from the source that test/core fetches, into the same cache.
assert_server() {
	# shellcheck disable=SC2086 # a list of words
	install_packages $SERVER_PACKAGES dpkg-dev libicu-dev perl pkg-config valgrind
	source=$(test/core --source)
	prefix=$(dirname "$source")/assert-${source##*-}
	if ! as_server test -e "$prefix/complete"; then
		echo "building PostgreSQL ${source##*-} with assertions"
		# By the unprivileged user, who can write nowhere else.
		rm -rf "$prefix" "$prefix.tree"
		mkdir "$prefix" "$prefix.tree"
		[ "$(id -u)" != 0 ] || chown "$SERVER_USER": "$prefix" "$prefix.tree"
		(
			cd "$prefix.tree"
			as_server "$source/configure" --prefix="$prefix" --enable-cassert --enable-debug --with-icu --without-readline \
				--without-zlib CPPFLAGS=-DUSE_VALGRIND CFLAGS=-Og
			as_server make -s -j"$(nproc)" install
			as_server make -s -j"$(nproc)" -C contrib install
		) >"$prefix.log" 2>&1 || { tail -n 20 "$prefix.log" >&2; return 1; }
		rm -rf "$prefix.tree"
		as_server touch "$prefix/complete"
	fi
	PG_CONFIG=$prefix/bin/pg_config
}

assert_install() {
	local work=$1 log=${2:-$1/install.log}
	mkdir "$work/tree"
	tar -c --exclude=./.git --exclude='*.[od]' --exclude='*.bc' --exclude='*.so' . | tar -x -C "$work/tree"
	[ "$(id -u)" != 0 ] || chown -R "$SERVER_USER": "$work"
	(cd "$work/tree" && as_server make -s -j"$(nproc)" PG_CONFIG="$PG_CONFIG" install) >"$log" 2>&1 ||
		{ cat "$log" >&2; return 1; }
}
