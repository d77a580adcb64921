;; More than it declared.
;; want: it prunes a share of 0.75, and declared 0.5 at most
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22policy\22, \22name\22: \22hostile\22, \22version\22: \221\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 270582939664))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_declare") (param $call i32) (result i32)
    (if (i32.eqz (i32.and (i32.load offset=12 (local.get $call)) (i32.const 3))) (then
      (i32.store offset=44 (local.get $call) (i32.const 2))
      (i32.store offset=48 (local.get $call) (i32.const 4))
      (f32.store offset=52 (local.get $call) (f32.const 0.5))))
    (i32.const 0))
  (func (export "gsc_decide") (param $call i32) (result i32)
    (f32.store offset=68 (local.get $call) (f32.const 0.75))
    (i32.store offset=72 (local.get $call) (i32.const 1))
    (i32.const 0)))
