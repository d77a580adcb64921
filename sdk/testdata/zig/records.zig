const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "records", .version = "1", .record_bytes = 100000 };

pub fn init(_: gsc.Params) bool {
    return true;
}

pub fn record(r: gsc.Record, out: *gsc.Records) gsc.Error!void {
    switch ((r.text.len + r.ids.len) % 4) {
        0 => try out.keep(),
        1 => {
            try out.keep();
            if (r.labels.len > 0) {
                try out.label("kept");
                try out.label(r.name(r.labels[0]));
            }
            for (r.numbers) |number| try out.number(2 * number);
        },
        2 => {
            if (r.holds_ids) try out.ids(r.ids[1..]) else try out.text(r.text[1..]);
            for (r.spans) |s| {
                if (s.from > 0) {
                    try out.span(s.from - 1, s.to - 1, r.name(s.name));
                } else if (s.to > 1) {
                    try out.span(0, s.to - 1, "cut");
                }
            }
            try out.keep();
        },
        else => if (r.seed % 2 == 1) try out.keep(),
    }
}

comptime {
    gsc.exportRecordTransform(@This());
}
