-- boxd.local.cron: when an expression comes next.

local boxd = require "boxd"

describe("boxd.local.cron", function()
  local cron = require "boxd.local.cron"

  local function next(text, from)
    local y, mo, d, h, mi = from:match "(%d+)-(%d+)-(%d+) (%d+):(%d+)"
    local days = 0 -- since 1970, without a time zone
    for year = 1970, y - 1 do
      days = days + ((year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0))
        and 366 or 365)
    end
    local at = days * 86400
    while os.date("!%m-%d", at) ~= mo .. "-" .. d do at = at + 86400 end
    return os.date("!%Y-%m-%d %H:%M", cron.next(text, at + h * 3600 + mi * 60))
  end

  it("finds the next match, in UTC", function()
    for _, row in ipairs {
      { "* * * * *", "2026-11-23 10:15", "2026-11-23 10:16" },
      { "0 18 * * *", "2026-11-23 10:15", "2026-11-23 18:00" },
      { "0 18 * * *", "2026-11-23 18:00", "2026-11-24 18:00" },
      { "*/20 * * * *", "2026-11-23 10:41", "2026-11-23 11:00" },
      { "5/20 1-3,22 * * *", "2026-11-23 03:46", "2026-11-23 22:05" },
      { "0 0 1 1 *", "2026-11-23 10:15", "2027-01-01 00:00" },
      { "0 0 29 feb *", "2026-11-23 10:15", "2028-02-29 00:00" },
      { "0 9 * * mon-fri", "2026-11-27 10:00", "2026-11-30 09:00" },
      { "0 9 * * 7", "2026-11-23 10:00", "2026-11-29 09:00" },
      { "0 0 13 * fri", "2026-11-23 10:00", "2026-11-27 00:00" },
      { "59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59" },
    } do
      assert.equal(row[3], next(row[1], row[2]), row[1])
    end
  end)

  it("refuses invalid schedules, and dates that never come", function()
    for _, text in ipairs { "", "* * * *", "* * * * * *", "60 * * * *",
      "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *",
      "5-1 * * * *", "*/0 * * * *", "1,,2 * * * *", "-1 * * * *",
      "0 0 30 2 *", "1-2-3 * * * *" } do
      local ok, e = pcall(cron.next, text, 0)
      assert(not ok and e.code == "INVALID_ARGUMENT", text)
      assert.is_false(boxd.is_error(e))
    end
  end)
end)
