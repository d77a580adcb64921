;; A span that reaches behind its record.
;; want: plugin F (hostile 1): gsc_transform: record trial:1: its span 0 is from 0 to 9, of 1 bytes: spans hold something, ascend, and do not overlap
;; data: tags
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22transform\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22on\22: \22records\22, \22record_bytes\22: 65536}")
  (func (export "gsc_manifest") (result i64) (i64.const 455266533392))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_transform") (param $call i32) (result i32)
    (i32.store (i32.const 1048576) (i32.const 1))
    (i32.store (i32.const 1048580) (i32.const 2))
    (i32.store (i32.const 1048584) (i32.const 3))
    (i32.store (i32.const 1048640) (i32.const 0))
    (i32.store (i32.const 1048644) (i32.const 9))
    (i32.store (i32.const 1048648) (i32.const 0))
    (i32.store (i32.add (local.get $call) (i32.const 64)) (i32.const 1048576))
    (i32.store (i32.add (local.get $call) (i32.const 60)) (i32.const 1048576))
    (i32.store (i32.add (local.get $call) (i32.const 100)) (i32.const 1048576))
    (i32.store (i32.add (local.get $call) (i32.const 96)) (i32.const 1048640))
    (i32.const 0)))
