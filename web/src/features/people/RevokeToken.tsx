import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { useNotify } from '../../ui/Notifications';

/** Revokes a token after a question; nothing is lost with it but access. */
export function RevokeToken({ token }: { readonly token: Schemas['TokenShown'] }) {
  const { notify } = useNotify();
  const [open, setOpen] = useState(false);
  const act = async () => {
    const { message } = await actions.revokeToken(token.id);
    notify({ type: 'success', header: message });
  };
  return (
    <>
      <Button ariaLabel={t.tokens.revokeOf(token.name)} onClick={() => setOpen(true)}>
        {t.tokens.revoke}
      </Button>
      {open && (
        <Dialog
          title={t.tokens.revokeOf(token.name)}
          button={t.tokens.revoke}
          act={act}
          close={() => setOpen(false)}
        >
          <Alert type="warning">{t.tokens.revokeWhat}</Alert>
        </Dialog>
      )}
    </>
  );
}
