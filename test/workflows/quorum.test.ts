import { describe, expect, it } from 'vitest';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { combinations, DEMERIT, Quorum } from '../../workflows/quorum.ts';

const ids = (...names: string[]): PartyId[] => names as PartyId[];
const parties = ids('a', 'b', 'c', 'd', 'e');

describe('quorum', () => {
  it('counts every combination once', () => {
    for (const [n, t, count] of [
      [2, 2, 1],
      [3, 2, 3],
      [5, 3, 10],
      [7, 5, 21],
      [3, 4, 0],
    ] as const) {
      const all = [
        ...combinations(
          Array.from({ length: n }, (_, i) => i),
          t,
        ),
      ];
      expect(all).toHaveLength(count);
      expect(new Set(all.map(String)).size).toBe(count);
    }
  });
  it('takes the best ranked, in the key’s own order', () => {
    expect(new Quorum(parties, 3, ids('e', 'c', 'a', 'b', 'd')).next()).toEqual(ids('a', 'c', 'e'));
    expect(new Quorum(parties, 3, []).next()).toEqual(ids('a', 'b', 'c'));
  });
  it('never repeats a set until told, and tries all of them', () => {
    const quorum = new Quorum(parties, 3, parties);
    const seen = new Set<string>();
    for (let set = quorum.next(); set !== undefined; set = quorum.next()) seen.add(set.join());
    expect(seen.size).toBe(10);
    quorum.retrySets();
    expect(quorum.next()).toEqual(ids('a', 'b', 'c'));
  });
  it('leaves out the absent, and prefers those without demerits', () => {
    const quorum = new Quorum(parties, 3, parties);
    quorum.lost('a' as PartyId);
    expect(quorum.next()).toEqual(ids('b', 'c', 'd'));
    quorum.blame('b' as PartyId, DEMERIT.accused);
    expect(quorum.next()).toEqual(ids('c', 'd', 'e'));
    quorum.lost('c' as PartyId);
    quorum.lost('d' as PartyId);
    expect(quorum.next()).toBeUndefined();
    expect(quorum.away).toEqual(ids('a', 'c', 'd'));
    quorum.back('a' as PartyId);
    expect(quorum.next()).toEqual(ids('a', 'b', 'e'));
  });
  it('a false accuser cannot stop the honest: some set without it is tried', () => {
    const three = ids('a', 'b', 'c');
    const quorum = new Quorum(three, 2, three);
    const tried: string[] = [];
    for (let set = quorum.next(); set !== undefined; set = quorum.next()) {
      tried.push(set.join(''));
      // b accuses whoever it signs with.
      if (set.includes('b' as PartyId)) {
        quorum.blame('b' as PartyId, DEMERIT.accuser);
        for (const other of set) if (other !== 'b') quorum.blame(other, DEMERIT.accused);
      }
    }
    expect(tried).toContain('ac');
  });
});
