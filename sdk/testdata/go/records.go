package main

import gsc "github.com/gsc-project/gsc/sdk/go"

func init() {
	gsc.TransformRecords(gsc.Manifest{Name: "records", Version: "1", RecordBytes: 100000}, func(gsc.Params) (gsc.RecordTransform, error) { return record, nil })
}

func record(r *gsc.Record, out *gsc.Records) error {
	switch n := len(r.Text) + len(r.IDs); {
	case n%4 == 0:
		out.Keep()
	case n%4 == 1:
		out.Keep()
		if labels := r.Labels(); len(labels) > 0 {
			out.Label("kept")
			out.Label(labels[0])
		}
		for _, number := range r.Numbers {
			out.Number(2 * number)
		}
	case n%4 == 2:
		if r.HoldsIDs() {
			out.IDs(r.IDs[1:])
		} else {
			out.Text(r.Text[1:])
		}
		for _, s := range r.Spans() {
			if s.From > 0 {
				out.Span(gsc.Span{From: s.From - 1, To: s.To - 1, Name: s.Name})
			} else if s.To > 1 {
				out.Span(gsc.Span{To: s.To - 1, Name: "cut"})
			}
		}
		out.Keep()
	case r.Seed%2 == 1:
		out.Keep()
	}
	return nil
}

func main() {}
