import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Schemas } from '../../api/client';
import { moment } from '../../lib/format';
import { t } from '../../strings';

/** Shows a new token, which nobody can read again afterwards. */
export function NewToken({
  made,
  close,
}: {
  readonly made: Schemas['CreatedToken'];
  readonly close: () => void;
}) {
  return (
    <Modal
      visible
      header={t.tokens.made(made.name)}
      closeAriaLabel={t.close}
      onDismiss={close}
      footer={
        <Box float="right">
          <Button variant="primary" onClick={close}>
            {t.tokens.stored}
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <Alert type="warning">{t.tokens.once}</Alert>
        <CopyToClipboard
          variant="inline"
          textToCopy={made.token ?? ''}
          textToDisplay={made.token ?? t.tokens.repeated}
          copyButtonAriaLabel={t.tokens.copy}
          copySuccessText={t.tokens.copied}
          copyErrorText={t.tokens.notCopied}
        />
        <Box>{t.tokens.good(made.user, moment(made.expires_at))}</Box>
      </SpaceBetween>
    </Modal>
  );
}
