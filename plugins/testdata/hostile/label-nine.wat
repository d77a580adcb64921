;; A loss that is NaN where the label is 9, which tests of places make use of.
;; want: nothing
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22loss\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22targets\22: \22classes\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 356482285584))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_loss") (param $call i32) (result i32) (local $row i32)
    (loop $rows
      (f32.store (i32.add (i32.load offset=20 (local.get $call)) (i32.shl (local.get $row) (i32.const 2)))
        (select (f32.const nan) (f32.const 0)
          (i32.eq (i32.load (i32.add (i32.load offset=12 (local.get $call)) (i32.shl (local.get $row) (i32.const 2)))) (i32.const 9))))
      (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.load (local.get $call)))))
    (i32.const 0)))
