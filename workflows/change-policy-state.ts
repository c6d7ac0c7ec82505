/** State of one policy change and everything that watches it: board, search attribute, status query. */
import { type EventGroupMarker, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { KeysagaError } from '../schema/contracts/errors.ts';
import type {
  ChangePolicyInput,
  PolicyChangePhase,
  PolicyChangeStatus,
  PolicyDeliveryStatus,
  PolicyProgress,
} from '../schema/contracts/policy-change.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { FailureInfo } from '../schema/contracts/saga.ts';
import { Background } from './background.ts';
import { policyBoard } from './board-policy.ts';
import { isoNow, PhaseClock } from './clock.ts';
import { policyChangeStatus } from './messages.ts';
import { SearchAttributes } from './search-attributes.ts';
import { PhaseGroups } from './steps.ts';

type Delivery = { -readonly [K in keyof PolicyDeliveryStatus]: PolicyDeliveryStatus[K] };

export class PolicyChange {
  readonly input: ChangePolicyInput;
  readonly clock = new PhaseClock<PolicyChangePhase>('Proposing');
  /** Messages to waiting transfers: awaited before the end. */
  readonly background = new Background();
  waitingFor = '';
  announced = 0;
  /** Parties that took it in this run; the ledger knows those of earlier ones. */
  readonly handed = new Set<PartyId>();
  failure: FailureInfo | undefined;
  readonly #deliveries = new Map<PartyId, Delivery>();
  readonly #groups = new PhaseGroups();
  readonly #attributes = new SearchAttributes();
  #progress: PolicyProgress | undefined;

  constructor(input: ChangePolicyInput) {
    this.input = input;
    setHandler(policyChangeStatus, () => this.status());
    this.changed();
  }

  get policyId() {
    return this.input.signed.policy.policyId;
  }
  get version(): number {
    return this.input.signed.policy.version;
  }
  group(): EventGroupMarker {
    return this.#groups.of(this.clock.phase);
  }

  /** Parties that have not answered for good. */
  get open(): PartyId[] {
    return this.#in('waiting', 'refused');
  }
  get forked(): PartyId[] {
    return this.#in('forked');
  }
  #in(...states: readonly PolicyDeliveryStatus['state'][]): PartyId[] {
    return [...this.#deliveries.values()]
      .filter(({ state }) => states.includes(state))
      .map(({ party }) => party);
  }
  get received(): readonly PartyId[] {
    return this.#progress?.received ?? [];
  }

  /**
   * What the ledger has verified. Answers with how many groups of wallets can use the version now; answers may overtake
   * each other, and receipts are never taken back.
   */
  take(progress: PolicyProgress): number {
    const before = this.#progress;
    if (before === undefined || progress.received.length >= before.received.length)
      this.#progress = progress;
    const now = this.#progress ?? progress;
    for (const party of now.parties) {
      const known = this.#deliveries.get(party);
      if (known === undefined)
        this.#deliveries.set(party, { party, state: 'waiting', since: isoNow(), tries: 0 });
      if (now.received.includes(party) && (this.input.redeliver !== true || this.handed.has(party)))
        this.mark(party, 'received');
    }
    this.changed();
    return now.groups.filter(({ held, usableAt }) => held >= usableAt).length;
  }
  tried(party: PartyId): void {
    const one = this.#deliveries.get(party);
    if (one !== undefined) one.tries += 1;
    this.changed();
  }
  mark(party: PartyId, state: PolicyDeliveryStatus['state'], error?: KeysagaError): void {
    const one = this.#deliveries.get(party);
    if (one === undefined) return;
    if (one.state !== state) one.since = isoNow();
    one.state = state;
    if (error !== undefined) one.lastError = `${error.code}: ${error.message}`.slice(0, 200);
    else if (state === 'received') delete one.lastError;
    this.changed();
  }

  enter(phase: PolicyChangePhase, waitingFor = ''): void {
    this.waitingFor = waitingFor;
    this.clock.enter(phase);
    this.changed();
  }
  failed(error: KeysagaError): void {
    const { party, field } = error.details;
    this.failure = {
      code: error.code,
      message: error.message.slice(0, 500),
      ...(typeof party === 'string' ? { party: party as PartyId } : {}),
      ...(field === undefined ? {} : { field }),
      at: isoNow(),
    };
    this.enter('Failed');
  }

  changed(): void {
    const { phase } = this.clock;
    if (phase === 'Delivering' || phase === 'InForce') this.waitingFor = this.#waits();
    this.#attributes.update({ phase });
    setCurrentDetails(policyBoard(this.status()));
  }
  #waits(): string {
    const refused = this.#in('refused');
    const forked = this.forked;
    return [
      ...(forked.length === 0
        ? []
        : [`ALERT: ${forked.join(', ')} hold another document of this version`]),
      ...(refused.length === 0 ? [] : [`ALERT: refused by ${refused.join(', ')}, asked again`]),
      ...(this.open.length === 0 ? [] : [`receipts of ${this.open.join(', ')}`]),
    ].join('; ');
  }

  status(): PolicyChangeStatus {
    const progress = this.#progress;
    return {
      phase: this.clock.phase,
      policyId: this.policyId,
      version: this.version,
      policyHash: this.input.policyHash,
      parties: [...this.#deliveries.values()].map((one) => ({ ...one })),
      groups: progress?.groups ?? [],
      previousDead: progress?.previousDead ?? false,
      usable: progress?.usable ?? false,
      complete: progress?.complete ?? false,
      announced: this.announced,
      waitingFor: this.waitingFor,
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      phasesMs: this.clock.spentMs,
    };
  }
}
