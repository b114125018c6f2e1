import Flashbar from '@cloudscape-design/components/flashbar';

import { Remediation } from '../ui/Remediation';
import { useLiveness } from '../live/LiveProvider';
import { t } from '../strings';

/** Says that what is shown may be out of date, for as long as it may be. */
export function ConnectionLost() {
  if (useLiveness() !== 'cut') return null;
  return (
    <Flashbar
      items={[
        {
          id: 'cut-off',
          type: 'warning',
          header: t.connectionLost.title,
          content: <Remediation text={t.connectionLost.what} />,
        },
      ]}
    />
  );
}
