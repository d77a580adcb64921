//! The few functions that losses need, with vectors of four.
const Lanes = @Vector(4, f32);

// One instruction each, which @max and @min are not, since these do more about NaN.
inline fn larger(a: Lanes, b: Lanes) Lanes {
    return @select(f32, b > a, b, a);
}
inline fn smaller(a: Lanes, b: Lanes) Lanes {
    return @select(f32, b < a, b, a);
}

/// e^x for four x in [-87, 88], what is outside being moved to the nearest end: 2^n·e^r with n = round(x/ln 2), and the Taylor polynomial of degree 6, whose error for
/// |r| ≤ ln 2/2 is below 1.2e-7.
pub fn exp4(x0: Lanes) Lanes {
    const rounder: Lanes = @splat(12582912); // added to a small number it leaves no digits behind the point, and the whole number in the lowest bits
    const x = larger(@splat(-87), smaller(@splat(88), x0));
    const rounded = x * @as(Lanes, @splat(1.44269504)) + rounder;
    const n = rounded - rounder;
    const r = x - n * @as(Lanes, @splat(0.693359375)) + n * @as(Lanes, @splat(2.12194440e-4));
    var p: Lanes = @splat(1.0 / 720.0);
    inline for (.{ 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0 }) |c| p = p * r + @as(Lanes, @splat(c));
    const Bits = @Vector(4, u32);
    return @bitCast(@as(Bits, @bitCast(p)) +% (@as(Bits, @bitCast(rounded)) << @splat(23)));
}

/// e^x for one x, as exp4 computes it.
pub fn exp1(x: f32) f32 {
    return exp4(@splat(x))[0];
}

/// The largest of some numbers, of which there are any.
pub fn max(x: []const f32) f32 {
    var tops: Lanes = @splat(x[0]);
    var i: usize = 0;
    while (i + 4 <= x.len) : (i += 4) tops = larger(tops, x[i..][0..4].*);
    while (i < x.len) : (i += 1) tops = larger(tops, @splat(x[i]));
    return @reduce(.Max, tops);
}

/// Σ e^(x − shift), whose terms are written to e unless that is null. Runs of 512 are added up in four lanes, and these as doubles.
pub fn expSum(x: []const f32, shift: f32, e: ?[]f32) f64 {
    const by: Lanes = @splat(shift);
    var total: f64 = 0;
    var i: usize = 0;
    while (i + 4 <= x.len) {
        const last = @min(i + 512, x.len);
        var sums: Lanes = @splat(0);
        while (i + 4 <= last) : (i += 4) {
            const terms = exp4(@as(Lanes, x[i..][0..4].*) - by);
            if (e) |to| to[i..][0..4].* = terms;
            sums += terms;
        }
        inline for (0..4) |lane| total += sums[lane];
    }
    while (i < x.len) : (i += 1) {
        const term = exp1(x[i] - shift);
        if (e) |to| to[i] = term;
        total += term;
    }
    return total;
}

/// log Σ e^z; p, unless that is null, is set to e^z / Σ e^z.
pub fn softmax(z: []const f32, p: ?[]f32) f64 {
    const top = max(z);
    const total = expSum(z, top, p);
    if (p) |to| {
        const share: f32 = @floatCast(1 / total);
        for (to) |*v| v.* *= share;
    }
    return @log(total) + top;
}
