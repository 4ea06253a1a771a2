#: check-types   the annotations, by emmylua_check
# make doc: the API reference, of the annotations in lua/boxd/types/, as
# Markdown, as HTML with a page for each type, and as the manual page boxd(3).
# make check-types: those annotations, and the examples by them, looked at by
# emmylua_check (a crate: Debian has no checker of Lua's types).

DOC := $(BUILD)/doc
DOC_SRC := $(wildcard lua/boxd/types/*.lua scripts/doc/*.lua)

.PHONY: doc install-doc check-types
doc: $(DOC)/api.md $(DOC)/html/index.html $(DOC)/boxd.3

$(DOC)/api.md: $(DOC_SRC)
	@mkdir -p $(@D)
	$(LUA) scripts/doc/api.lua > $@.new && mv $@.new $@

# The index last: it is what make looks at.
$(DOC)/html/index.html: $(DOC)/api.md scripts/doc/pages.lua
	@rm -rf $(@D) && mkdir -p $(@D)
	$(LUA) scripts/doc/pages.lua $< $(@D)

$(DOC)/boxd.3: $(DOC_SRC) src/boxdlua/boxdlua.1
	@mkdir -p $(@D)
	$(LUA) scripts/doc/man.lua > $@.new && mv $@.new $@

# The HTML where lowdown is there to make it.
install-doc: $(DOC)/api.md $(DOC)/boxd.3
	$(INSTALL) -D -m 644 $(DOC)/api.md "$(DESTDIR)$(DOCDIR)/api.md"
	$(INSTALL) -D -m 644 $(DOC)/boxd.3 "$(DESTDIR)$(MANDIR)/man3/boxd.3"
	! command -v lowdown >/dev/null || { $(MAKE) -s $(DOC)/html/index.html && \
	  $(INSTALL) -d "$(DESTDIR)$(DOCDIR)/html" && \
	  $(INSTALL) -m 644 $(DOC)/html/* "$(DESTDIR)$(DOCDIR)/html"; }

check-types:
	@command -v emmylua_check >/dev/null || { echo "make check-types needs" \
	  "emmylua_check: cargo install emmylua_check"; exit 1; }
	rm -rf $(BUILD)/check-types && mkdir -p $(BUILD)/check-types
	cp lua/boxd/types/*.lua scripts/examples/*.lua $(BUILD)/check-types
	emmylua_check --warnings-as-errors $(BUILD)/check-types
