package builds

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Rows in the order of their uids are what is asked for most, by page number. To find
// the hundred-thousandth SQLite counts to it; so this counts ahead, and a write moves the
// counts: blocks of some dozen rows, each with the uid from which on it is.

type block struct {
	from string // no row of it has a lesser uid; the first block's is empty
	n    int
}

// positions is empty until somebody asks for a row far behind.
type positions struct {
	// mu is held for a commit too: what was counted is what was committed.
	mu     sync.Mutex
	blocks []block
	// size is how many rows a block has at first; it may grow to twice as many, which is
	// what SQLite has still to pass over.
	size int
}

// move is a row that came, n 1, or went, n -1.
type move struct {
	id  int64
	uid string
	n   int
}

// apply takes over what was committed; the caller holds the lock.
func (p *positions) apply(moves []move) {
	if p.blocks == nil {
		return
	}
	if len(moves) > len(p.blocks)*p.size {
		p.blocks = nil // counting anew is quicker
		return
	}
	for _, m := range moves {
		p.blocks[p.of(m.uid)].n += m.n
	}
	p.blocks = slices.DeleteFunc(p.blocks, func(b block) bool { return b.n == 0 && b.from != "" })
}

// of is the index of the block that a uid is in.
func (p *positions) of(uid string) int {
	i, found := slices.BinarySearchFunc(p.blocks, uid, func(b block, uid string) int { return strings.Compare(b.from, uid) })
	if found {
		return i
	}
	return i - 1
}

// at says from which uid on, and how many rows behind its first, the row with a number
// is, counting from 0.
func (p *positions) at(ctx context.Context, db *sql.DB, n int) (from string, skip int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocks == nil {
		if err := p.make(ctx, db); err != nil {
			return "", 0, err
		}
	}
	for i := 0; i < len(p.blocks); i++ {
		if p.blocks[i].n <= n {
			n -= p.blocks[i].n
			continue
		}
		if p.blocks[i].n > 2*p.size {
			split, err := p.split(ctx, db, i)
			if err != nil {
				return "", 0, err
			}
			if split {
				i--
				continue
			}
		}
		return p.blocks[i].from, n, nil
	}
	last := len(p.blocks) - 1
	return p.blocks[last].from, p.blocks[last].n + n, nil
}

const nextBlock = `SELECT uid FROM builds WHERE uid >= ? ORDER BY uid LIMIT 1 OFFSET ?`

// make counts all rows. It holds the lock, without which nothing is committed.
func (p *positions) make(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	total := 0
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM builds`).Scan(&total); err != nil {
		return err
	}
	blocks := []block{{}}
	for total > p.size {
		var next string
		err := tx.QueryRowContext(ctx, nextBlock, blocks[len(blocks)-1].from, p.size).Scan(&next)
		if err != nil {
			return err
		}
		blocks[len(blocks)-1].n = p.size
		blocks = append(blocks, block{from: next})
		total -= p.size
	}
	blocks[len(blocks)-1].n = total
	p.blocks = blocks
	return nil
}

// split halves a block that has grown. The rows may have changed by more than the
// counts: then it stays as it is.
func (p *positions) split(ctx context.Context, db *sql.DB, i int) (bool, error) {
	b := p.blocks[i]
	var middle string
	err := db.QueryRowContext(ctx, nextBlock, b.from, b.n/2).Scan(&middle)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if i+1 < len(p.blocks) && middle >= p.blocks[i+1].from || middle <= b.from {
		return false, nil
	}
	p.blocks[i].n = b.n / 2
	p.blocks = slices.Insert(p.blocks, i+1, block{from: middle, n: b.n - b.n/2})
	return true, nil
}
