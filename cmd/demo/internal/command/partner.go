package command

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/handlers/objectsync/dirstore"
)

// addPartners gives a shop that stays up its partners, who behave, and its pages,
// for which close must be called.
func addPartners(cfg *node.Config, s settings.Settings, logger *slog.Logger) (closePages func() error, err error) {
	merchant, err := partner.NewMerchant(partner.MerchantConfig{})
	if err != nil {
		return nil, err
	}
	courier, err := partner.NewCourier(partner.CourierConfig{})
	if err != nil {
		return nil, err
	}
	cfg.Partners = &node.Partners{Merchant: merchant, Courier: courier}
	return addPages(cfg, s, logger)
}

// addPages gives the role api a folder for the pages of the products. close must be
// called.
func addPages(cfg *node.Config, s settings.Settings, logger *slog.Logger) (closePages func() error, err error) {
	if !s.Roles.Has(role.API) {
		return func() error { return nil }, nil
	}
	folder, remove := s.Objects, func() error { return nil }
	if folder == "" {
		if folder, err = os.MkdirTemp("", "sluicegate-pages-"); err != nil {
			return nil, fmt.Errorf("make temporary folder: %w", err)
		}
		remove = func() error { return os.RemoveAll(folder) }
		logger.Warn("the products' pages are kept in a temporary folder and lost at the end: give --objects to keep them", "folder", folder)
	}
	pages, err := dirstore.New(folder)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	cfg.Pages = pages
	return func() error { return errors.Join(pages.Close(), remove()) }, nil
}
