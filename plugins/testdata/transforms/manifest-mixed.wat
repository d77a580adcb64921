;; A manifest of records with words of rows.
;; want: plugin F: gsc_manifest: the transform hostile works on records, and its manifest has members of those that work on rows
;; data: text
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22transform\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22on\22: \22records\22, \22weights\22: true}")
  (func (export "gsc_manifest") (result i64) (i64.const 429496729616))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_transform") (param $call i32) (result i32)
    (i32.const 0)))
