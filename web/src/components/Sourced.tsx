import Popover from '@cloudscape-design/components/popover';

import { t } from '../strings';

/** A number that says, when asked, where it comes from and when. */
export function Sourced({
  value,
  label,
  source,
}: {
  readonly value: string;
  /** What the number is, for who cannot see where it stands. */
  readonly label: string;
  readonly source: string;
}) {
  return (
    <Popover
      header={label}
      content={source}
      triggerType="text-inline"
      dismissButton={false}
      triggerAriaLabel={t.sourceOf(label, value)}
    >
      {value}
    </Popover>
  );
}
