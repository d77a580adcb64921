;; A branch to a label that the function does not have, but would where the host puts a block around it: it would leave without paying.
;; want: plugin F: this is no module that gsc takes: section code: function 3: a branch leads out of 4 blocks, more than the 3 there are
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22loss\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22targets\22: \22classes\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 356482285584))
  (global $next (mut i32) (i32.const 4096))
  (func (export "gsc_alloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
    (i32.sub (global.get $next) (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_loss") (param $call i32) (result i32)
    (block (loop (i32.const 0) (br 3)))
    (i32.const 0)))
