/**
 * An anchor for a transfer that has not begun: leased before anyone is asked, held while people decide, and given back
 * when its time is over unless the transfer of this request id has begun. The timer is what makes that sure: whoever
 * asked for the anchor may be gone by then.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { LeasedAnchor } from '../schema/contracts/intent.ts';
import {
  AnchorInput,
  type AnchorOutcome,
  type AnchorPhase,
  type CancelReceipt,
} from '../schema/contracts/saga.ts';
import { plain } from '../schema/contracts/summaries.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { anchorUpdate, cancelUpdate } from './messages.ts';
import { Compensations } from './saga.ts';
import { SearchAttributes } from './search-attributes.ts';
import { chain } from './steps.ts';

export async function anchor(raw: AnchorInput): Promise<AnchorOutcome> {
  const held = new AnchorSaga(readInput(AnchorInput, raw));
  CancellationScope.current().cancelRequested.catch(() => held.giveUp());
  return CancellationScope.nonCancellable(async () => {
    try {
      return await held.hold();
    } catch (error) {
      rethrowDefect(error);
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    } finally {
      await condition(allHandlersFinished);
    }
  });
}

class AnchorSaga {
  readonly #request: AnchorInput['request'];
  readonly #undos = new Compensations(() => this.#show());
  readonly #attributes = new SearchAttributes();
  readonly #leasing = new CancellationScope();
  #phase: AnchorPhase = 'Leasing';
  #leased: LeasedAnchor | undefined;
  #failure: KeysagaError | undefined;
  #outcome: AnchorOutcome['outcome'] | undefined;
  #unwanted = false;

  constructor({ request }: AnchorInput) {
    this.#request = request;
    setHandler(anchorUpdate, async () => {
      await condition(() => this.#leased !== undefined || this.#failure !== undefined);
      if (this.#failure !== undefined)
        throw toApplicationFailure(this.#failure, { forWorkflow: true });
      return this.#leased as LeasedAnchor;
    });
    setHandler(cancelUpdate, async (): Promise<CancelReceipt> => {
      this.giveUp();
      await condition(() => this.#outcome !== undefined);
      return this.#outcome === 'taken'
        ? { accepted: false, path: 'too-late', message: 'The transfer has begun: cancel that.' }
        : { accepted: true, path: 'compensate', message: 'The anchor is given back.' };
    });
    this.#attributes.update({ wallet: request.walletId, phase: this.#phase });
    this.#show();
  }

  giveUp(): void {
    this.#unwanted = true;
    this.#leasing.cancel();
  }

  async hold(): Promise<AnchorOutcome> {
    const { requestId } = this.#request;
    this.#undos.register({
      step: 'give the anchor back',
      run: async () => {
        const answer = await chain('undoChain', 'give the anchor back').releaseAnchor({
          requestId,
          reason: this.#failure?.code ?? (this.#unwanted ? 'Cancelled' : 'expired'),
        });
        this.#outcome = answer.outcome;
      },
    });
    let leased: LeasedAnchor;
    try {
      leased = await this.#leasing.run(() =>
        chain('lease', 'lease an anchor').leaseAnchor({ request: this.#request }),
      );
    } catch (error) {
      rethrowDefect(error);
      this.#failure = fromFailure(error, { timeout: 'ChainUnavailable' });
      // A try that failed may still have leased.
      await this.#undos.unwind();
      this.#enter('Failed');
      throw this.#failure;
    }
    this.#leased = leased;
    this.#enter('Held');
    await condition(() => this.#unwanted, Math.max(1, Date.parse(leased.until) - Date.now()), {
      summary: `the lease ends ${leased.until}`,
    });
    await this.#undos.unwind();
    const outcome = this.#outcome ?? 'given-back';
    this.#enter(outcome === 'taken' ? 'Taken' : 'GivenBack');
    return { outcome, leased };
  }

  #enter(phase: AnchorPhase): void {
    this.#phase = phase;
    this.#attributes.update({ phase });
    this.#show();
  }

  #show(): void {
    const { requestId, walletId } = this.#request;
    setCurrentDetails(
      [
        `**Phase** ${this.#phase}`,
        '',
        `**Anchor** of ${walletId} for ${requestId}`,
        ...(this.#leased === undefined
          ? []
          : [
              `- ${plain(Object.values(this.#leased.anchor).join(' '))}`,
              `- until ${this.#leased.until}, then given back unless the transfer has begun`,
            ]),
        ...(this.#failure === undefined
          ? []
          : ['', `**Failure** ${this.#failure.code}: ${plain(this.#failure.message)}`]),
      ].join('\n'),
    );
  }
}
