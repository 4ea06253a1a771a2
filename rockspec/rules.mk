#: rock          a rock with the source in it
# make rock: a rock of the released version with the source in it, which
# `luarocks install FILE` builds without the network. The times in it are of
# no day, and modes are not of a umask: the same source is the same rock.

ROCK := boxd-$(VERSION)-1
ROCK_FILES = $(sort $(shell git ls-files -co --exclude-standard 2>/dev/null | \
  grep . || find . -path './$(BUILD)' -prune -o -path './.git' -prune -o \
  -type f -print))

.PHONY: rock
rock: | $(BUILD)
	rm -rf $(BUILD)/rock && mkdir -p $(BUILD)/rock
	@tar -cf - --owner=0 --group=0 --mtime=@0 --mode=u=rwX,go=rX \
	  --transform='s|^\(\./\)*|$(ROCK)/|' $(ROCK_FILES) | \
	  gzip -n > $(BUILD)/rock/$(ROCK).tar.gz
	cp rockspec/$(ROCK).rockspec $(BUILD)/rock
	cd $(BUILD)/rock && export TZ=UTC && touch -d @315532800 * && \
	  chmod 644 * && zip -qX $(ROCK).src.rock $(ROCK).rockspec $(ROCK).tar.gz
	mv $(BUILD)/rock/$(ROCK).src.rock $(BUILD)
	rm -r $(BUILD)/rock
