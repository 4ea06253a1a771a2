#: fuzz          the fuzzers; SECONDS=10 for each
# Fuzzers of whatever reads what others wrote: spec/fuzz/NAME.c, begun from
# spec/fuzz/corpus/NAME. What one finds is left in $(FUZZ)/NAME-*; run the
# fuzzer with that file to see it again, and keep the file in the corpus.
#
#   make fuzz SECONDS=10                     all, two at a time
#   make fuzz FUZZERS="decode json" SECONDS=3600

FUZZ := $(BUILD)/fuzz
FUZZERS ?= $(patsubst spec/fuzz/%.c,%,$(filter-out %/state.c,\
  $(wildcard spec/fuzz/*.c)))
FUZZ_SECONDS = $(or $(SECONDS),10)
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer
FUZZ_OPT := -O1 -g
FUZZ_MAKE = $(MAKE) BUILD=$(FUZZ) CC=$(CLANG) OPT="$(FUZZ_OPT)" \
  SANITIZE="-fsanitize=fuzzer-no-link $(FUZZ_FLAGS)" CFLAGS=-Werror
FUZZ_PARTS := spec/fuzz/state.o proto/boxd_desc.o \
  $(patsubst %,src/server/%.o,http1 reflection)

.PHONY: fuzz fuzz-build fuzzers $(FUZZERS:%=fuzz-%)

fuzz: fuzz-build
	$(MAKE) -j2 $(FUZZERS:%=fuzz-%)

fuzz-build:
	+$(FUZZ_MAKE) fuzzers

.PRECIOUS: $(BUILD)/spec/fuzz/%.o

# In the build of their own.
fuzzers: $(FUZZERS:%=$(BUILD)/fuzz-%)

$(BUILD)/fuzz-%: $(BUILD)/spec/fuzz/%.o $(FUZZ_PARTS:%=$(BUILD)/%) \
    $(BUILD)/libboxd.a
	$(CC) -fsanitize=fuzzer $(FUZZ_FLAGS) -o $@ $^ $(LUA_LINK) -lgrpc -lgpr \
	  $(COMMON_LIBS) -lseccomp -pthread

# New inputs of use stay in $(FUZZ)/corpus, for the next run.
$(FUZZERS:%=fuzz-%): fuzz-%:
	@mkdir -p $(FUZZ)/corpus/$*
	@$(FUZZ)/fuzz-$* -max_total_time=$(FUZZ_SECONDS) -timeout=20 \
	  -max_len=4096 -verbosity=0 -print_funcs=0 -print_final_stats=1 \
	  -artifact_prefix=$(FUZZ)/$*- $(FUZZ)/corpus/$* spec/fuzz/corpus/$* \
	  > $(FUZZ)/$*.log 2>&1 || { cat $(FUZZ)/$*.log; exit 1; }
	@sed -n 's/^stat::number_of_executed_units: /fuzz $*: nothing found, inputs: /p' \
	  $(FUZZ)/$*.log

-include $(wildcard $(FUZZ)/spec/fuzz/*.d)
