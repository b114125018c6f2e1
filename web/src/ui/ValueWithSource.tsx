import Popover from '@cloudscape-design/components/popover';

import { t } from '../strings';

/** A number with a popover that explains its source. */
export function ValueWithSource({
  value,
  label,
  source,
}: {
  readonly value: string;
  /** The name of the number, for screen readers. */
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
