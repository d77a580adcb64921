;; Its code is as long as whole words are, of which it said that it uses one byte less.
;; want: plugin F (codec 1): gsc_encode: numbers 0 to 299: it made a code of 1200 bytes, where 1199 are the most that it said
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22policy\22, \22name\22: \22codec\22, \22version\22: \221\22, \22codec\22: {\22contraction\22: \221\22}}")
  (func (export "gsc_manifest") (result i64) (i64.const 395136991248))
  (global $next (mut i32) (i32.const 4096))
  (global $calls (mut i32) (i32.const 0))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_code_bytes") (param $n i32) (result i32) (i32.sub (i32.shl (local.get $n) (i32.const 2)) (i32.const 1)))
  (func (export "gsc_encode") (param $call i32) (result i32)
    (i32.store offset=12 (local.get $call) (i32.const 1200)) (i32.const 0))
  (func (export "gsc_decode") (param $call i32) (result i32)
    (memory.copy (i32.load offset=4 (local.get $call)) (i32.load offset=8 (local.get $call)) (i32.shl (i32.load (local.get $call)) (i32.const 2)))
    (i32.const 0)))
