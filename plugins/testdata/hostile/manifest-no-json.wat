;; A manifest that is no JSON.
;; want: plugin F: gsc_manifest: the manifest is not what this gsc knows: invalid character 'h' looking for beginning of value
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "hello")
  (func (export "gsc_manifest") (result i64) (i64.const 21474836496))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_loss") (param $call i32) (result i32)
    (i32.const 0)))
