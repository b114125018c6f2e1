import Box from '@cloudscape-design/components/box';

import { t } from '../strings';
import { ErrorDetails } from './ErrorAlert';

export interface Failure {
  readonly name: string;
  readonly error: Error;
}

const SHOWN = 10; // names with the same reason

/** What was refused, by reason; a single one has its reason in the header of its notice. */
export function Failures({ failures }: { readonly failures: readonly Failure[] }) {
  const [first] = failures;
  if (first === undefined) return null;
  if (failures.length === 1) return <ErrorDetails error={first.error} />;
  const reasons = new Map<string, Failure[]>();
  for (const failure of failures) {
    const reason = failure.error.message.replaceAll(failure.name, '…');
    reasons.set(reason, [...(reasons.get(reason) ?? []), failure]);
  }
  return (
    <ul>
      {[...reasons].map(([reason, group]) => (
        <li key={reason}>
          <Box variant="span" fontWeight="bold">
            {group
              .slice(0, SHOWN)
              .map(({ name }) => name)
              .join(', ')}
            {group.length > SHOWN && ` ${t.andMore(group.length - SHOWN)}`}
          </Box>
          {`: ${reason}`}
          {group[0] !== undefined && <ErrorDetails error={group[0].error} />}
        </li>
      ))}
    </ul>
  );
}
