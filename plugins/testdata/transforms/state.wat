;; It keeps every other record, counted over its calls, though it says that order is nothing to it.
;; want: nothing
;; data: text
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22transform\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22on\22: \22records\22, \22record_bytes\22: 65536}")
  (func (export "gsc_manifest") (result i64) (i64.const 455266533392))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (global $seen (mut i32) (i32.const 1))
  (func (export "gsc_transform") (param $call i32) (result i32)
    (local $i i32) (local $k i32)
    (block $end (loop $on
      (br_if $end (i32.ge_u (local.get $i) (i32.load (local.get $call))))
      (if (i32.and (global.get $seen) (i32.const 1)) (then
        (i32.store (i32.add (i32.const 1048576) (i32.shl (local.get $k) (i32.const 2))) (local.get $i))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))))
      (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $on)))
    (i32.store (i32.add (local.get $call) (i32.const 56)) (local.get $k))
    (i32.store (i32.add (local.get $call) (i32.const 104)) (i32.const 1048576))
    (i32.const 0)))
