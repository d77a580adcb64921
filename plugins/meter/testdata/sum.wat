;; Loops, branches out of them, and functions that call each other.
(module
  (func $sum (export "sum") (param $n i32) (result i32) (local $s i32)
    (loop $again
      (local.set $s (i32.add (local.get $s) (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))
  ;; a return within a loop, within a block
  (func (export "find") (param $n i32) (result i32) (local $i i32)
    (block $out
      (loop $again
        (if (i32.eq (i32.mul (local.get $i) (local.get $i)) (local.get $n)) (then (return (local.get $i))))
        (br_if $out (i32.gt_u (local.get $i) (local.get $n)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (i32.const -1))
  ;; loops within loops that call
  (func (export "nested") (param $n i32) (result i32) (local $i i32) (local $s i32)
    (loop $outer
      (local.set $i (i32.const 10))
      (loop $inner
        (local.set $s (i32.add (local.get $s) (call $sum (local.get $i))))
        (br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $outer (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2)) (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  ;; two results, by a branch within a loop to the function's own label
  (func (export "two") (param $n i32) (result i32 i32)
    (loop $again
      (i32.add (local.get $n) (i32.const 1)) (i32.const 7)
      (br_if 1 (local.get $n))
      (drop) (drop)
      (local.set $n (i32.const 41))
      (br $again))
    (unreachable)))
