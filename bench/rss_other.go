//go:build !linux

package main

// rssUnit is the bytes that the system counts peak resident sets in.
const rssUnit = 1
