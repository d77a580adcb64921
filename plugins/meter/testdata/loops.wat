;; Branches out of loops in loops, of every kind: each passes what the rewriter puts around a loop.
(module
  ;; A table of branches, to the inner loop, the outer one, a block between them, one around them, and the function.
  (func (export "table") (param $n i32) (result i32) (local $i i32) (local $sum i32)
    (block $around
      (loop $outer
        (local.set $sum (i32.add (local.get $sum) (i32.const 100)))
        (block $between
          (loop $inner
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (local.set $sum (i32.add (local.get $sum) (local.get $i)))
            (if (i32.ge_u (local.get $i) (local.get $n)) (then (br $around)))
            (br_table $inner $between $outer $inner $around
              (i32.rem_u (i32.mul (local.get $i) (i32.const 7)) (i32.const 5)))))
        (local.set $sum (i32.mul (local.get $sum) (i32.const 3)))
        (br_if $outer (i32.lt_u (local.get $i) (local.get $n)))))
    (local.get $sum))
  ;; A return, and a branch to the function's own label, from within two loops.
  (func (export "leave") (param $n i32) (result i32) (local $i i32) (local $j i32)
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (if (i32.eq (i32.mul (local.get $i) (local.get $j)) (local.get $n)) (then (return (i32.add (local.get $i) (i32.const 1000)))))
        (if (i32.gt_u (i32.add (local.get $i) (local.get $j)) (i32.const 90)) (then (br 3 (i32.const 7))))
        (local.set $j (i32.add (local.get $j) (i32.const 1)))
        (br_if $columns (i32.lt_u (local.get $j) (i32.const 50))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $rows (i32.lt_u (local.get $i) (i32.const 50))))
    (i32.const -1))
  ;; A loop that leaves a number behind, in one that does, and what stood below it.
  (func (export "result") (param $n i32) (result i32) (local $i i32)
    (i32.add (i32.const 5)
      (loop $outer (result i32)
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $outer (i32.lt_u (local.get $i) (local.get $n)))
        (i32.mul (local.get $i)
          (loop (result i32)
            (local.set $i (i32.add (local.get $i) (i32.const 3)))
            (local.get $i))))))
  ;; A loop with a parameter, around one without.
  (func (export "parameter") (param $n i32) (result i32)
    (i32.const 1)
    (loop $double (param i32) (result i32)
      (i32.shl (i32.const 1))
      (loop $down
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $down (i32.gt_s (i32.rem_s (local.get $n) (i32.const 10)) (i32.const 0))))
      (br_if $double (i32.gt_s (local.get $n) (i32.const 0))))))
