;; It takes memory until there is no more, and says so.
;; want: plugin F (hostile 1): gsc_transform: record trial:1: it returned status 3 (it has no memory left); it has 4194304 of at most 4194304 bytes of memory: if it needs more, give it more with memory
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
  (func (export "gsc_transform") (param $call i32) (result i32)
    (loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.const 3)))
