;; A loss that is right.
(module
  (memory (export "memory") 200)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22loss\22, \22name\22: \22linear\22, \22version\22: \221\22, \22targets\22: \22classes\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 352187318288))
  (global $next (mut i32) (i32.const 4096))
  (global $calls (mut i32) (i32.const 0))
  (func (export "gsc_alloc") (param $n i32) (result i32) (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (local.get $at) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (local.get $at))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  ;; the loss of a row is minus the logit of its label
  (func (export "gsc_loss") (param $call i32) (result i32) (local $row i32) (local $z i32) (local $offset i32) (local $label i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.load offset=24 (local.get $call)) (then
      (memory.fill (i32.load offset=24 (local.get $call)) (i32.const 0)
        (i32.mul (i32.const 4) (i32.mul (i32.load (local.get $call)) (i32.load offset=4 (local.get $call)))))))
    (loop $rows
      (local.set $label (i32.load (i32.add (i32.load offset=12 (local.get $call)) (i32.shl (local.get $row) (i32.const 2)))))
      (local.set $offset (i32.shl (i32.add (i32.mul (local.get $row) (i32.load offset=4 (local.get $call))) (local.get $label)) (i32.const 2)))
      (local.set $z (i32.add (i32.load offset=8 (local.get $call)) (local.get $offset)))
      (f32.store (i32.add (i32.load offset=20 (local.get $call)) (i32.shl (local.get $row) (i32.const 2)))
        (f32.neg (f32.load (local.get $z))))
      (if (i32.load offset=24 (local.get $call)) (then
        (f32.store (i32.add (i32.load offset=24 (local.get $call)) (local.get $offset)) (f32.const -1))))
      (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.load (local.get $call)))))
    (i32.const 0)))
