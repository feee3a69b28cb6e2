package policy

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// A quantity is counted in billionths, the smallest that Kubernetes knows, without bounds: no sum can wrap around.

const (
	maxQuantity = 64 // bytes
	maxExponent = 64
)

var quantitySuffixes = map[string]struct{ base, exponent int64 }{
	"n": {10, 0}, "u": {10, 3}, "m": {10, 6}, "": {10, 9}, "k": {10, 12}, "M": {10, 15}, "G": {10, 18}, "T": {10, 21}, "P": {10, 24}, "E": {10, 27},
	"Ki": {2, 10}, "Mi": {2, 20}, "Gi": {2, 30}, "Ti": {2, 40}, "Pi": {2, 50}, "Ei": {2, 60},
}

// parseQuantity reads a quantity of Kubernetes, rounded up to a billionth: a decimal number with a suffix or an exponent.
// It refuses what is negative, and numbers that nobody writes: Kubernetes itself takes the exponent 4294967299 for 3.
func parseQuantity(value any) (*big.Int, bool) {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case json.Number:
		text = value.String()
	default:
		return nil, false
	}
	if len(text) > maxQuantity {
		return nil, false
	}
	text = strings.TrimPrefix(text, "+")
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	number, suffix := text[:end], text[end:]
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || strings.Contains(fraction, ".") {
		return nil, false
	}
	n, _ := new(big.Int).SetString(whole+fraction, 10)
	scale, known := quantitySuffixes[suffix]
	if !known {
		if suffix[0] != 'e' && suffix[0] != 'E' {
			return nil, false
		}
		exponent, err := strconv.ParseInt(suffix[1:], 10, 64)
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return nil, false
		}
		scale.base, scale.exponent = 10, exponent+9
	}
	if scale.base == 2 {
		n.Mul(n.Lsh(n, uint(scale.exponent)), power(9))
		scale.exponent = 0
	}
	shift := scale.exponent - int64(len(fraction))
	if shift >= 0 {
		return n.Mul(n, power(shift)), true
	}
	return ceil(n, power(-shift)), true
}

func power(exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(exponent), nil)
}

// ceil divides and rounds up.
func ceil(n, by *big.Int) *big.Int {
	quotient, rest := new(big.Int).QuoRem(n, by, new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

// quantityText writes billionths as a decimal number.
func quantityText(n *big.Int) string {
	whole, rest := new(big.Int).QuoRem(n, power(9), new(big.Int))
	if rest.Sign() == 0 {
		return whole.String()
	}
	digits := rest.String()
	return whole.String() + "." + strings.TrimRight(strings.Repeat("0", 9-len(digits))+digits, "0")
}
