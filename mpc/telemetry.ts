/** Measures what crosses the port, so that adapters stay pure and no later one can forget to. */
import type { RoundMachine, ThresholdProtocol } from '../core/ports/protocol.ts';

export type ProtocolOperation = {
  readonly protocol: string;
  readonly operation: 'keygen' | 'refresh' | 'presign' | 'online' | 'sign' | 'aggregate';
  /** From 1; 0 for the aggregate. */
  readonly round: number;
  readonly milliseconds: number;
  readonly ok: boolean;
};

export type Telemetry = {
  /** Called after each operation, failed ones as well. What it throws is ignored. */
  readonly onOperation: (operation: ProtocolOperation) => void;
  /** A monotonic clock in milliseconds, passed in since this folder is pure: `() => performance.now()`. */
  readonly now: () => number;
};

/** The same protocol, each operation reported. */
export function instrumented(protocol: ThresholdProtocol, telemetry: Telemetry): ThresholdProtocol {
  const measure = <T>(
    operation: ProtocolOperation['operation'],
    round: number,
    work: () => T,
  ): T => {
    const began = telemetry.now();
    let ok = false;
    try {
      const result = work();
      ok = true;
      return result;
    } finally {
      try {
        telemetry.onOperation({
          protocol: protocol.metadata.id,
          operation,
          round,
          milliseconds: telemetry.now() - began,
          ok,
        });
      } catch {
        // A round that was computed is answered, whether or not someone could count it.
      }
    }
  };
  const wrap = <Output>(
    operation: Exclude<ProtocolOperation['operation'], 'aggregate'>,
    machine: RoundMachine<Output>,
  ): RoundMachine<Output> => ({
    version: machine.version,
    rounds: machine.rounds,
    round: (r, inbox, draws) => measure(operation, r, () => machine.round(r, inbox, draws)),
    dispose: () => machine.dispose(),
  });
  const { presigning } = protocol;
  const refresh = protocol.refresh?.bind(protocol);
  return {
    metadata: protocol.metadata,
    keygen: (params) => wrap('keygen', protocol.keygen(params)),
    sign: (params) => wrap('sign', protocol.sign(params)),
    aggregate: (params) => measure('aggregate', 0, () => protocol.aggregate(params)),
    verify: (publicKey, message, signature) => protocol.verify(publicKey, message, signature),
    publicKey: (publicPackage) => protocol.publicKey(publicPackage),
    activationMessage: (bytes) => protocol.activationMessage(bytes),
    ...(refresh === undefined
      ? {}
      : {
          refresh: (params) => wrap('refresh', refresh(params)),
        }),
    ...(presigning === undefined
      ? {}
      : {
          presigning: {
            rounds: presigning.rounds,
            versions: presigning.versions,
            presign: (params) => wrap('presign', presigning.presign(params)),
            online: (params) => wrap('online', presigning.online(params)),
            aggregate: (params) => measure('aggregate', 0, () => presigning.aggregate(params)),
          },
        }),
  };
}
