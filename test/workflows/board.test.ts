/** The boards that an operator reads in the Temporal UI, whole: every line of them, from the written-out statuses. */
import { describe, expect, it } from 'vitest';
import { KeygenStatus, TransferStatus } from '../../schema/contracts/saga.ts';
import { keygenBoard, transferBoard } from '../../workflows/board.ts';
import { EXAMPLES } from '../contracts/examples.ts';

const transfer = TransferStatus.parse(EXAMPLES.TransferStatus?.[1]);
const keygen = KeygenStatus.parse(EXAMPLES.KeygenStatus?.[1]);
/** The same saga before anything happened: what is not there yet has no line. */
const bare = <T extends object>(status: T, ...absent: (keyof T)[]): T =>
  Object.fromEntries(
    Object.entries(status).filter(([name]) => !absent.includes(name as keyof T)),
  ) as T;

describe('the board of a transfer', () => {
  it('shows all that there is', () => {
    const rejection = {
      ...transfer.approvals[0],
      approval: { ...transfer.approvals[0]?.approval, approver: 'bob', decision: 'reject' },
    } as (typeof transfer.approvals)[number];
    expect(
      transferBoard({
        ...transfer,
        approvals: [...transfer.approvals, rejection],
        pivotPassed: true,
        cancelRequested: true,
        phasesMs: { Initiated: 12, AwaitingApprovals: 75_000, Preparing: 4_000_000 },
      }),
    ).toMatchInlineSnapshot(`
      "**Phase** Signing – round 1

      **Transfer** 30000 native from wallet-1 to bcrt1pdestinationofthepayee

      **Approvals** 1 of 2
      - counted again under version 2 of demo
      - given: alice
      - missing: bob
      - rejected by: bob

      **Attempt** 1
      \`\`\`
      party  prepare
      alpha  ok
      \`\`\`

      **Intent digest** \`0202020202020202020202020202020202020202020202020202020202020202\`

      **Transaction** \`1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a\`, 0 confirmations

      **Void transaction** \`1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e\`

      Past the pivot: only a transaction that is final on chain ends this transfer.

      **Cancel requested**

      **Undo**
      - reserve: **owed**, delivered on its return, try 2 (x)

      **Failure** TimeLimit: Too late. (beta)

      **Messages that do not count**
      - 2025-06-01T12:00:00.000Z InvalidInput: x

      **Time** Initiated 12 ms, AwaitingApprovals 75 s, Preparing 67 min"
    `);
  });
  it('shows one that waits', () => {
    expect(
      transferBoard({
        ...bare(transfer, 'policy', 'transactionId', 'voidTransactionId', 'failure'),
        phase: 'AwaitingApprovals',
        waitingFor: 'approvals until tomorrow',
        approvals: [],
        missing: ['alice', 'bob'] as never,
        ...{ parties: [], undos: [], refusedMessages: [], phasesMs: {} },
      }),
    ).toMatchInlineSnapshot(`
      "**Phase** AwaitingApprovals – approvals until tomorrow

      **Transfer** 30000 native from wallet-1 to bcrt1pdestinationofthepayee

      **Approvals** 0 of 2
      - given: none
      - missing: alice, bob

      **Intent digest** \`0202020202020202020202020202020202020202020202020202020202020202\`"
    `);
  });
});

describe('the board of a key generation', () => {
  it('shows all that there is', () => {
    expect(keygenBoard(keygen)).toMatchInlineSnapshot(`
      "**Phase** Rounds – round 1

      **Key** wallet-1: 2 of 3 on bip122:0f9188f13cb7b2c71f2a335e3a4fc328

      **Address** \`bcrt1pwallet\` (unchecked here: \`keysaga wallet show\` checks it)

      **Certificates** 0 of 3

      **Active at** alpha

      \`\`\`
      party  prepare
      alpha  ok
      \`\`\`

      **Undo**
      - reserve: **owed**, delivered on its return, try 2 (x)

      **Failure** TimeLimit: Too late. (beta)

      **Time** Reserving 3 ms"
    `);
  });
  it('shows one that began', () => {
    expect(
      keygenBoard({
        ...bare(keygen, 'address', 'failure'),
        ...{ parties: [], undos: [], activated: [], waitingFor: '', phasesMs: {} },
      }),
    ).toMatchInlineSnapshot(`
      "**Phase** Rounds

      **Key** wallet-1: 2 of 3 on bip122:0f9188f13cb7b2c71f2a335e3a4fc328

      **Certificates** 0 of 3

      **Active at** none"
    `);
  });
});
