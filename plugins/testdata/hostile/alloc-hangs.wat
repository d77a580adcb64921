;; Asked for memory, it never answers.
;; want: plugin F (hostile 1): gsc_alloc: it takes longer than 200ms: give it more with time, or mend it
(module
  (memory (export "memory") 40)
  (data (i32.const 16) "{\22abi\22: 1, \22kind\22: \22loss\22, \22name\22: \22hostile\22, \22version\22: \221\22, \22targets\22: \22classes\22}")
  (func (export "gsc_manifest") (result i64) (i64.const 356482285584))
  (func (export "gsc_alloc") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))
  (func (export "gsc_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "gsc_loss") (param $call i32) (result i32)
    (i32.const 0)))
