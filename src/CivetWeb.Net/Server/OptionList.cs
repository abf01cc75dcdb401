using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.ComponentModel;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace CivetWeb.Net;

/// <summary>
/// A list of texts among the options, such as <see cref="CivetWebServerOptions.AllowedHosts"/>. It can be assigned
/// (<c>AllowedHosts = ["example.org"]</c>) or added to.
/// </summary>
/// <remarks>
/// Microsoft.Extensions.Configuration binds both <c>["example.org"]</c> and <c>"example.org"</c> to it. A plain list would be left
/// empty by the second, and an empty list often means everybody.
/// </remarks>
[TypeConverter(typeof(OptionListConverter))]
public sealed class OptionList : Collection<string>
{
    /// <summary>Creates an empty list.</summary>
    public OptionList()
    {
    }

    /// <summary>Creates a list.</summary>
    /// <param name="entries">Its entries, which are copied.</param>
    public OptionList(IEnumerable<string> entries)
        : base([.. entries])
    {
    }

    /// <summary>Copies an array.</summary>
    /// <param name="entries">The entries.</param>
    [return: NotNullIfNotNull(nameof(entries))]
    public static implicit operator OptionList?(string[]? entries) => entries is null ? null : [.. entries];

    /// <summary>Copies a list.</summary>
    /// <param name="entries">The entries.</param>
    [return: NotNullIfNotNull(nameof(entries))]
    public static implicit operator OptionList?(List<string>? entries) => entries is null ? null : [.. entries];
}

/// <summary>From a single text of a configuration to a list with this one entry; an empty text is an empty list.</summary>
internal sealed class OptionListConverter : TypeConverter
{
    public override bool CanConvertFrom(ITypeDescriptorContext? context, Type sourceType) =>
        sourceType == typeof(string) || base.CanConvertFrom(context, sourceType);

    public override object? ConvertFrom(ITypeDescriptorContext? context, CultureInfo? culture, object value) =>
        value is string text ? text.Length == 0 ? new OptionList() : [text] : base.ConvertFrom(context, culture, value);
}
