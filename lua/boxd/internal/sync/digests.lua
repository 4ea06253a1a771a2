-- SHA-256 of files, here and in a box, for listings.

local core = require "boxd.core"
local boxd = require "boxd"
local path = require "boxd.path"
local perl = require "boxd.internal.perl"
core.internal()

local digests = {}

local PIECE = 1 << 20

function digests.here(folder, name)
  local f <close> = path.open(folder .. "/" .. name)
  local digest = core.digest()
  for data in function() return f:read(PIECE) end do
    digest:add(data)
    boxd.sleep(0)
  end
  return digest:hex()
end

-- -z: names are as they are. A file that went meanwhile has no line.
local PROGRAM = [=[
chdir $a{folder} or exit 5;
open my $list, '|-', 'xargs -0 -r sha256sum -z -b -- 2>/dev/null; :' or exit 6;
binmode $list;
print $list "./$_\0" for split /\0/, $a{paths};
close $list;
]=]

--- Those of files of the box, by path.
function digests.there(box, folder, paths, opts)
  local reply = perl.run(box, "sync", PROGRAM, { folder = folder,
    paths = table.concat(paths, "\0") }, nil, opts)
  local sums = {}
  for sum, name in reply:gmatch "(%x+) %*%./([^\0]*)\0" do sums[name] = sum end
  return sums
end

return digests
