;; A token that the vocabulary does not have.
;; want: plugin F (hostile 1): gsc_transform: row 1: token 2 of it is 257
;; data: rows
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22transform\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22on\22: \22rows\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 343597383696))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_transform") (param $call i32) (result i32)
    (i32.store offset=40 (i32.load (i32.add (local.get $call) (i32.const 20))) (i32.const 257))
    (i32.const 0)))
