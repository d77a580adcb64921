;; It prints half a billion texts at once.
;; want: plugin F (hostile 1): gsc_loss: rows 0 to 2: wasi_snapshot_preview1.fd_write: 536870911 buffers at a time, more than 1024
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22loss\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22targets\22: \22classes\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 356482285584))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_loss") (param $call i32) (result i32)
    (call $fd_write (i32.const 1) (i32.const 2048) (i32.const 0x1fffffff) (i32.const 2056))))
