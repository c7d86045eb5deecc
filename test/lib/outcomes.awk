# What a run of pg_regress or pg_isolation_regress printed, one line per test: "ok NAME" or "failed NAME". Reads both
# formats: "test NAME ... ok 12 ms" of PostgreSQL 15 and the TAP lines of 16 and later.
/^ok [0-9]/ { print "ok", $4; next }
/^not ok [0-9]/ { print "failed", $5; next }
/^(test |     ).* \.\.\. / { print ($0 ~ /\.\.\. ok / ? "ok" : "failed"), ($1 == "test" ? $2 : $1) }
