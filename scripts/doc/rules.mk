#: check-types   the annotations, by emmylua_check
# make doc: the API reference, of the annotations in lua/boxd/types/.
# make check-types: those annotations, and the examples by them, looked at by
# emmylua_check (a crate: Debian has no checker of Lua's types).

.PHONY: doc install-doc check-types
doc: $(BUILD)/doc/api.md

$(BUILD)/doc/api.md: $(wildcard lua/boxd/types/*.lua scripts/doc/*.lua)
	@mkdir -p $(@D)
	$(LUA) scripts/doc/api.lua > $@.new && mv $@.new $@

install-doc: $(BUILD)/doc/api.md
	$(INSTALL) -D -m 644 $< $(DESTDIR)$(DOCDIR)/api.md

check-types:
	@command -v emmylua_check >/dev/null || { echo "make check-types needs" \
	  "emmylua_check: cargo install emmylua_check"; exit 1; }
	rm -rf $(BUILD)/check-types && mkdir -p $(BUILD)/check-types
	cp lua/boxd/types/*.lua scripts/examples/*.lua $(BUILD)/check-types
	emmylua_check --warnings-as-errors $(BUILD)/check-types
