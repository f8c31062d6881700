// Package cookie owns how Gatehouse's own cookies are named, read and
// written. Every one of them holds an opaque value of 256 random bits;
// what it stands for rests in the store, under the value's keyed hash.
//
// Reading is stricter than net/http: a cookie that is sent twice, is quoted,
// or has a value of the wrong form is as good as none. Who can set a cookie on
// a sibling host could otherwise choose which of two the gateway believes.
package cookie
