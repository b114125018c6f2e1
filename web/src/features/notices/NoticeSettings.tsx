import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Toggle from '@cloudscape-design/components/toggle';
import { useQuery } from '@tanstack/react-query';

import { noticeActions } from '../../api/noticeActions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';

type Settings = Schemas['NoticeSettings'];
type Kind = Schemas['KindSetting'];

/** What the person gets notices about, and by what. */
export function NoticeSettings() {
  const query = useQuery(queries.noticeSettings);
  return (
    <Loaded query={query} what={t.noticeSettings.title}>
      {(settings) => <KindTable settings={settings} />}
    </Loaded>
  );
}

function KindTable({ settings }: { readonly settings: Settings }) {
  const { notify, failed } = useNotify();
  const act = async (call: Promise<unknown>, done?: string) => {
    try {
      await call;
      if (done !== undefined) notify({ type: 'success', header: done });
    } catch (error) {
      failed(t.noticeSettings.title, error as Error);
    }
  };
  const toggle = (it: Kind, channel: 'mail' | 'webhook') => (
    <Toggle
      checked={it[channel]}
      disabled={channel === 'mail' && settings.mail_address === null}
      ariaLabel={t.noticeSettings.toggle(it.title, t.noticeSettings[channel])}
      onChange={({ detail }) => {
        const chosen = { mail: it.mail, webhook: it.webhook, [channel]: detail.checked };
        void act(noticeActions.changeNotices({ kinds: { [it.kind]: chosen } }));
      }}
    />
  );
  const percents = [...settings.usual_thresholds, ...settings.thresholds];
  return (
    <ListTable<Kind>
      title={t.noticeSettings.title}
      what={t.noticeSettings.what(
        settings.mail_address ?? t.noticeSettings.noMail(settings.no_mail ?? ''),
      )}
      items={settings.kinds}
      by="kind"
      actions={
        <SpaceBetween direction="horizontal" size="xs">
          <DialogButton
            text={t.noticeSettings.when}
            button={t.noticeSettings.save}
            fields={[
              {
                id: 'thresholds',
                label: t.noticeSettings.thresholds,
                what: t.noticeSettings.usual(percents.map((it) => `${it} %`).join(', ')),
                value: settings.thresholds.join(', '),
                optional: true,
              },
              {
                id: 'hours',
                label: t.noticeSettings.hours,
                kind: 'number',
                value: String(settings.expiry_hours),
              },
            ]}
            act={({ thresholds = '', hours = '' }) =>
              noticeActions.changeNotices({
                thresholds: thresholds.split(/[\s,%]+/).flatMap((it) => (it ? [Number(it)] : [])),
                expiry_hours: Number(hours),
              })
            }
          />
          <Button onClick={() => void act(noticeActions.testNotice(), t.noticeSettings.tested)}>
            {t.noticeSettings.test}
          </Button>
        </SpaceBetween>
      }
      columns={[
        { id: 'title', header: t.noticeSettings.about, isRowHeader: true, cell: (it) => it.title },
        { id: 'mail', header: t.noticeSettings.mail, cell: (it) => toggle(it, 'mail') },
        { id: 'webhook', header: t.noticeSettings.webhook, cell: (it) => toggle(it, 'webhook') },
      ]}
    />
  );
}

/** The addresses that get the person's notices. */
export function WebhookTable() {
  const query = useQuery(queries.webhooks);
  const { notify, failed } = useNotify();
  const act = async (doing: string, call: Promise<unknown>) => {
    try {
      await call;
      notify({ type: 'success', header: doing });
    } catch (error) {
      failed(doing, error as Error);
    }
  };
  const add = (
    <DialogButton
      text={t.webhooks.add}
      button={t.webhooks.add}
      fields={[{ id: 'url', label: t.webhooks.url, what: t.webhooks.urlWhat }]}
      act={async ({ url = '' }) => {
        const made = await noticeActions.addWebhook(url);
        notify({
          type: 'warning',
          header: t.webhooks.secretOf(made.host),
          content: made.secret ?? '',
        });
      }}
    />
  );
  return (
    <Loaded query={query} what={t.webhooks.title}>
      {({ webhooks }) => (
        <ListTable<Schemas['WebhookShown']>
          title={t.webhooks.title}
          what={t.webhooks.what}
          items={webhooks}
          by="id"
          empty={t.webhooks.none}
          actions={add}
          columns={[
            { id: 'host', header: t.webhooks.host, isRowHeader: true, cell: (it) => it.host },
            { id: 'person', header: t.tokens.user, cell: (it) => it.person },
            {
              id: 'state',
              header: t.inbox.state,
              cell: (it) => (
                <Box>{t.webhooks.state(it.paused_at !== null, it.problem, it.waiting)}</Box>
              ),
            },
            {
              id: 'actions',
              header: t.workspaces.actions,
              cell: (it) => (
                <SpaceBetween direction="horizontal" size="xs">
                  <Button
                    ariaLabel={t.webhooks.testOf(it.host)}
                    onClick={() => void act(t.webhooks.tested, noticeActions.testWebhook(it.id))}
                  >
                    {t.noticeSettings.test}
                  </Button>
                  <Button
                    ariaLabel={t.webhooks.removeOf(it.host)}
                    onClick={() => void act(t.webhooks.removed, noticeActions.removeWebhook(it.id))}
                  >
                    {t.webhooks.remove}
                  </Button>
                </SpaceBetween>
              ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}
