import { noticeActions } from '../../api/noticeActions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { useNotify } from '../../ui/Notifications';

type Kind = Schemas['NewMoreRequest']['kind'];

const KINDS: readonly Kind[] = ['money', 'workspaces', 'gpus', 'time', 'size'];

/** A button that requests more; where something was refused, its project is known. */
export function MoreButton({
  kind = 'money',
  project = '',
}: {
  readonly kind?: Kind;
  readonly project?: string;
}) {
  const { notify } = useNotify();
  return (
    <DialogButton
      text={t.requests.more}
      button={t.requests.send}
      fields={[
        {
          id: 'kind',
          label: t.requests.kind,
          value: kind,
          options: KINDS.map((value) => ({ value, label: t.requests.kinds[value] })),
        },
        { id: 'amount', label: t.requests.amount, what: t.requests.amountOf },
        {
          id: 'of',
          label: t.requests.of,
          what: t.requests.ofWhat,
          value: project,
          optional: true,
        },
        { id: 'reason', label: t.money.reason, optional: true },
      ]}
      act={async (values) => {
        const { summary } = await noticeActions.requestMore(requestOf(values));
        notify({ type: 'success', header: t.requests.sent(summary) });
      }}
    />
  );
}

/** The request that the fields of the form describe; the daemon checks it. */
export function requestOf(values: Readonly<Record<string, string>>): Schemas['NewMoreRequest'] {
  const { kind = 'money', amount = '', of = '', reason = '' } = values;
  const number = Number(amount);
  const named = of === '' ? null : of;
  switch (kind as Kind) {
    case 'money':
      return { kind: 'money', usd: number, project: named, reason };
    case 'time':
      return { kind: 'time', hours: number, workspace: named, reason };
    case 'size':
      return {
        kind: 'size',
        size: amount.toUpperCase() as NonNullable<Schemas['NewMoreRequest']['size']>,
        workspace: named,
        reason,
      };
    case 'workspaces':
    case 'gpus':
      return { kind: kind as Kind, count: number, limit: named, reason };
  }
}
