# kpitables: metrics as views of PostgreSQL
#
#   src/         what is compiled: kpitables.c, and one folder per component with its C and, beside it, its SQL
#   sql/         what CREATE EXTENSION reads: the SQL of all components in one file, made by make and committed
#   test/        what asks: sql, specs, t, clients, lint and readme are run by test/check; core, assert, bench and demo
#                are run by themselves
#   expected/    what test/sql and test/specs answer, one .out for each file
#
# make, make install                 need gcc, make and postgresql-server-dev-15
# make help                          lists the rest; those install what they need
#
# A component uses only components to its left, in C and in SQL: this list is the order of both.
COMPONENTS = catalog scope metric measure lineage picture load check

TASKS = check demo demo-stop bench check-core check-assert check-fuzz check-loads check-scopes check-smith help

ifneq ($(filter $(TASKS),$(MAKECMDGOALS)),)

# Tasks are scripts: they come to a bare machine, where PostgreSQL and its makefiles may not be there yet.
check:        ; @test/check
demo:         ; @test/demo/demo start
demo-stop:    ; @test/demo/demo stop
bench:        ; @test/bench/run
check-core:   ; @test/core
check-assert: ; @test/assert
check-fuzz:   ; @test/fuzz/run
check-loads:  ; @test/loads
check-scopes: ; @test/scopes
check-smith:  ; @test/smith
help:
	@echo 'make                   build'
	@echo 'make install           install'
	@echo 'make installcheck      regression and isolation tests on a running server that preloads kpitables'
	@echo 'make check             every test, on a temporary server'
	@echo 'make demo [SCALE=1]    a retail company with a million order lines, and a walk through its metrics'
	@echo 'make demo-stop         stop its server'
	@echo 'make bench             speed against hand-written SQL'
	@echo 'make check-core        the regression tests of PostgreSQL itself with kpitables loaded (long)'
	@echo 'make check-fuzz        random queries against hand-written SQL, their lineage, and row scopes (long)'
	@echo 'make check-loads       100,000 loads by 8 writers, and 25 crashes (long)'
	@echo 'make check-scopes      what readers see while scopes change, against a model, also without caches (long)'
	@echo 'make check-smith       statements of sqlsmith, on a PostgreSQL with assertions (long)'
	@echo 'make check-assert      the tests on a PostgreSQL with assertions, and under valgrind (long)'

$(filter-out $(TASKS),$(MAKECMDGOALS)):
	@$(MAKE) $@

.PHONY: $(TASKS)

else

EXTENSION   = kpitables
EXTVERSION  = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
INSTALL_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql
SQL_PARTS   = src/$(EXTENSION).sql $(foreach c,$(COMPONENTS),$(sort $(wildcard src/$(c)/*.sql)))
DATA        = $(sort $(INSTALL_SQL) $(wildcard sql/$(EXTENSION)--*.sql))

MODULE_big  = $(EXTENSION)
OBJS        = src/$(EXTENSION).o $(patsubst %.c,%.o,$(foreach c,$(COMPONENTS),$(sort $(wildcard src/$(c)/*.c))))
DEPS        = $(OBJS:.o=.d)
PG_CPPFLAGS = -Isrc -DKPI_VERSION=\"$(EXTVERSION)\"
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -MMD -MP
EXTRA_CLEAN = $(DEPS)

REGRESS        = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --load-extension=$(EXTENSION) --encoding=UTF8
ISOLATION      = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=$(EXTENSION)

PG_CONFIG = pg_config
PGXS     := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error the build files of PostgreSQL are missing: install postgresql-server-dev-15, or set PG_CONFIG)
endif
include $(PGXS)

# PGXS does not know which headers a file includes; the compiler does. Bitcode follows its object file.
-include $(DEPS)
$(OBJS:.o=.bc): %.bc: %.o

# Not in DATA_built: clean would delete a file that is committed.
all: $(INSTALL_SQL)
$(INSTALL_SQL): $(SQL_PARTS) $(EXTENSION).control
	cat $(SQL_PARTS) > $@

# Is the committed file what the components say?
check-sql:
	@cat $(SQL_PARTS) | cmp - $(INSTALL_SQL)

.PHONY: check-sql

endif
