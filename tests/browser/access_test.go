package browser

// accessible is filled in below.
func (p *tab) accessible(view string) {}
